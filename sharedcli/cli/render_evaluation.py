"""How ``eval`` looks: a table of methods, one of the grid, and the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sharedcli.cli.render import Terminal, clean, plain_table
from sharedcli.cli.wording import duration

if TYPE_CHECKING:
    from sharedcli.evaluation.report import Comparison, Result, Row

_LINES = 60
"""Rows of the grid that are shown; all are in the files."""


def show_result(terminal: Terminal, result: Result, files: Sequence[str]) -> None:
    """Print a result: data on stdout, remarks on stderr."""
    terminal.show(_table(result.rows, result.task.upper(), with_place=False))
    if result.parts:
        terminal.show(Text(""))
        terminal.show(_table(result.parts[:_LINES], "METHOD", with_place=True))
        if len(result.parts) > _LINES:
            terminal.aside(f"and {len(result.parts) - _LINES} more rows in the files")
    if result.comparisons:
        terminal.show(Text(""))
        terminal.show(comparison_table(result.comparisons))
    if result.gaps:
        terminal.show(Text(""))
        terminal.show(_gap_table(result))
    for row in result.rows:
        if row.caveat:
            terminal.warning(f"{row.method}: {row.caveat}")
        if row.skipped:
            terminal.warning(f"{row.method}: {row.skipped} items skipped: {row.reason}")
    for note in result.notes:
        terminal.warning(note)
    if files:
        terminal.aside("written: " + ", ".join(files))


def _table(rows: Sequence[Row], title: str, with_place: bool) -> Table:
    from sharedcli.evaluation.markdown import interval_text, place_text

    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    heads = [name.replace("_", " ") for name in names]
    place = ["where"] if with_place else []
    table = plain_table(
        title, *place, *heads, "items", "per item", "slots", right=("items", "per item", "slots")
    )
    for row in rows:
        cells = [clean(row.method) + (" *" if row.caveat else "")]
        cells += [place_text(row.where)] if with_place else []
        cells += [interval_text(row.scores[n]) if n in row.scores else "-" for n in names]
        cells += [str(row.items), duration(row.seconds / row.items) if row.items else "-"]
        cells += [f"{row.means['slots']:.0f}" if "slots" in row.means else ""]
        table.add_row(*map(Text, cells))
    return table


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Differences of pairs, second minus first."""
    from sharedcli.evaluation.markdown import interval_text

    table = plain_table("COMPARED", "score", "difference", "wins/losses/ties", "p", right=("p",))
    for one in comparisons:
        cells = [
            f"{clean(one.second)} - {clean(one.first)}",
            one.score.replace("_", " "),
            interval_text(one.difference),
            f"{one.wins}/{one.losses}/{one.ties}",
            "-" if one.p is None else f"{one.p:.3f}",
        ]
        table.add_row(*map(Text, cells))
    return table


def _gap_table(result: Result) -> Table:
    from sharedcli.evaluation.markdown import gap_cells, interval_text

    heads = ("where", "none", "with slots", "full", "gain", "gap closed")
    table = plain_table("GAP", *heads, right=("none", "with slots", "full"))
    for one in result.gaps:
        table.add_row(*map(Text, [clean(one.method), *gap_cells(one)]))
    if result.harm is not None:
        harm = interval_text(result.harm)
        table.add_row(*map(Text, ["no context: adapted - plain", "", "", "", "", harm, ""]))
    return table


def show_comparison(
    terminal: Terminal, comparisons: Sequence[Comparison], differing: dict[str, Any]
) -> None:
    """Print what ``eval compare`` found."""
    terminal.show(comparison_table(comparisons))
    for key, (before, after) in differing.items():
        terminal.aside(f"{key}: {before} and {after}")
