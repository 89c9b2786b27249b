"""How ``bench`` looks: the result's tables on stdout, remarks on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from sharedcli.cli.render import Terminal, clean, plain_table

if TYPE_CHECKING:
    from sharedcli.benchmarks.result import Result


def show_result(terminal: Terminal, result: Result, files: Sequence[str]) -> None:
    """Print a result: data on stdout, remarks on stderr."""
    from sharedcli.benchmarks.tables import remarks, tables

    for number, found in enumerate(tables(result)):
        if number:
            terminal.show(Text(""))
        heads = (found.heads[0].upper(), *found.heads[1:])
        table = plain_table(*heads, right=heads[1:])
        for row in found.rows:
            table.add_row(*(Text(clean(cell)) for cell in row))
        terminal.show(table)
    for remark in remarks(result):
        terminal.aside(remark)
    if files:
        terminal.aside("written: " + ", ".join(files))
