"""How the library looks: lists, one document, totals, reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sharedcli.cli.render import clean, plain_table
from sharedcli.cli.wording import size

if TYPE_CHECKING:
    from sharedcli.store.records import DocumentRecord


def document_table(records: Sequence[DocumentRecord]) -> Table:
    """One line per document."""
    table = plain_table(
        "ID", "PAGES", "TOKENS", "SIZE", "ADDED", "DOCUMENT", right=("PAGES", "TOKENS", "SIZE")
    )
    for record in records:
        table.add_row(
            Text(record.id, style="cyan"),
            f"{record.pages:,}" if record.paged else "-",
            f"{record.tokens:,}",
            size(record.stored_bytes),
            record.added_at[:10],
            Text(clean(record.source, 1000)),
        )
    return table
