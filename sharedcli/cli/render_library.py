"""How the library looks: lists, one document, totals, reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sharedcli.cli.render import clean, facts, plain_table
from sharedcli.cli.wording import plural, size
from sharedcli.ingest.sanitise import absolute_path
from sharedcli.store.identity import NO_ENCODER

if TYPE_CHECKING:
    from pathlib import Path

    from sharedcli.cli.render import Terminal
    from sharedcli.engine.models import CachedModel
    from sharedcli.ingest.document import Document
    from sharedcli.settings import Explained
    from sharedcli.store.identity import TreeIdentity
    from sharedcli.store.records import CheckReport, DocumentRecord, FailedFile, StoreStats


def document_table(records: Sequence[DocumentRecord]) -> Table:
    """One line per document; where two go by one relative path, it is written out."""
    shared = Counter(record.source for record in records)
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
            Text(clean((shared[record.source] > 1 and record.path) or record.source, 1000)),
        )
    return table


def document_facts(record: DocumentRecord, identity: TreeIdentity, document: Document) -> Group:
    """Everything about one document."""
    geometry = identity.geometry
    pages = plural(record.pages, "page" if record.paged else "part") + _labels(document)
    adapter = "no adapter" if identity.adapter == "none" else f"adapter {identity.adapter[:12]}"
    weights = "" if identity.quantization == "none" else f", {identity.quantization}"
    per_token = record.stored_bytes / max(1, record.tokens)
    rows = [
        ("id", record.id),
        ("file", "standard input" if record.source == "-" else record.source),
        ("type", record.media_type),
        (
            "length",
            f"{pages}, {plural(record.tokens, 'token')} in {plural(record.chunks, 'chunk')}",
        ),
        ("stored", f"{size(record.stored_bytes)}, {per_token:.0f} bytes per token"),
        ("added", record.added_at.replace("T", " ").replace("+00:00", " UTC")),
        (
            "tree",
            f"chunks of {geometry['chunk_tokens']:,} tokens, depth {geometry['depth']}, "
            f"{geometry['slots_per_node']} slots per node, {geometry['levels']}, "
            f"{geometry['slot_choice']}; slots as {identity.slot_format}",
        ),
        (
            "made by",
            f"{identity.model}{weights} in {identity.dtype}, {adapter}, lowest "
            f"{plural(identity.injected_layers, 'layer')}",
        ),
        (
            "search",
            "full text; vectors are made when a question comes"
            if identity.passage_encoder == NO_ENCODER
            else f"full text and {identity.passage_encoder}",
        ),
    ]
    rows += [("warning", warning) for warning in record.warnings]
    return Group(Text(clean(record.title), style="bold"), facts(rows))


def _labels(document: Document) -> str:
    """The printed labels, where they differ from counting."""
    pages = document.pages
    if not document.paged or all(page.label in (None, str(page.number)) for page in pages):
        return ""
    first, last = pages[0].label or pages[0].number, pages[-1].label or pages[-1].number
    return f" (printed {first} to {last})"


def status_facts(store: Path, stats: StoreStats) -> Table:
    """The library at a glance."""
    return facts(
        [
            ("store", str(store)),
            (
                "documents",
                f"{stats.documents:,} ({plural(stats.pages, 'page')}, "
                f"{plural(stats.tokens, 'token')})",
            ),
            ("failed", plural(stats.failed, "file")),
        ]
    )


def stats_facts(store: Path, stats: StoreStats) -> Table:
    """Totals."""
    stored = stats.blob_bytes + stats.catalogue_bytes
    rows = [
        ("store", str(store)),
        ("documents", f"{stats.documents:,}"),
        ("pages", f"{stats.pages:,}"),
        ("tokens", f"{stats.tokens:,} in {plural(stats.chunks, 'chunk')}"),
        ("trees", f"{size(stats.blob_bytes)} in {plural(stats.blobs, 'file')}"),
        ("catalogue", size(stats.catalogue_bytes)),
    ]
    if stats.tokens:
        rows.append(("per token", f"{stored / stats.tokens:.0f} bytes"))
    if stats.unused_bytes:
        rows.append(("unused", f"{size(stats.unused_bytes)}; `sharedcli gc` gives it back"))
    if stats.failed:
        rows.append(("failed", f"{plural(stats.failed, 'file')}; see `sharedcli status`"))
    return facts(rows)


def failure_table(failures: Sequence[FailedFile]) -> Table:
    """Files that could not be indexed, with the reasons."""
    table = plain_table("WHEN", "FILE", "REASON")
    for column in table.columns[1:]:
        column.no_wrap, column.overflow = False, "fold"
    here = absolute_path(".")
    for one in failures:
        # told from here as the user would, and in full where it lies elsewhere
        name = "standard input" if one.source == "-" else one.source.removeprefix(f"{here}/")
        when = one.failed_at[:16].replace("T", " ")
        table.add_row(Text(when, style="dim"), Text(clean(name, 1000)), Text(clean(one.reason)))
    return table


def show_check(terminal: Terminal, report: CheckReport) -> None:
    """What was verified, on stdout; what is damaged, with the repair, too."""
    verified = (
        f"{plural(report.documents, 'document')}, {plural(report.tensors, 'tensor')}, "
        f"{size(report.bytes_read)} read"
    )
    if report.clean:
        terminal.show(Text.assemble(("clean: ", "green"), verified))
    for damage in report.damaged:
        name = clean(damage.source)
        terminal.show(Text.assemble(("damaged: ", "red"), name, "  ", clean(damage.problem)))
        terminal.show(Text(f"  repair: {clean(damage.repair)}"))
    for problem in report.problems:
        terminal.show(Text.assemble(("damaged: ", "red"), clean(problem)))
    if not report.clean:
        terminal.show(Text(f"verified {verified}"))
    if report.unused_files:
        left = plural(report.unused_files, "left-over file")
        terminal.aside(f"{left}; `sharedcli gc` removes them")


def settings_table(settings: Sequence[Explained]) -> Table:
    """Name, value, origin; what is not a default stands out."""
    table = plain_table("SETTING", "VALUE", "FROM")
    for one in settings:
        value = (
            "-"
            if one.value is None
            else str(one.value).lower()
            if isinstance(one.value, bool)
            else str(one.value)
        )
        style = "dim" if one.origin == "default" else ""
        table.add_row(
            Text(one.name), Text(clean(value), style=style), Text(clean(one.origin), style=style)
        )
    return table


def model_table(models: Sequence[CachedModel]) -> Table:
    """One line per model."""
    table = plain_table("MODEL", "FOR", "SIZE", "WHERE", right=("SIZE",))
    for model in models:
        where = str(model.path) if model.here else "not here; `sharedcli model fetch` gets it"
        table.add_row(
            Text(clean(model.name), style="cyan" if model.here else "dim"),
            model.role,
            size(model.bytes) if model.here else "-",
            Text(clean(where, 1000), style="" if model.here else "dim"),
        )
    return table
