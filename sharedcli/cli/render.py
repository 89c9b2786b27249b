"""The terminal: two Rich consoles, one per stream, and what each of them may do.

Notable choices:
- Colour is decided per stream: ``--no-color`` or ``color`` in the settings, then NO_COLOR, then
  FORCE_COLOR, then whether the stream is a terminal that is not dumb. Where there is none, not one
  escape byte is written.
- Consoles never interpret markup, emoji codes or highlight patterns, and every string from outside
  goes through ``clean`` first: the one sanitiser.
- Off a terminal lines are as long as they are: tables are for ``grep`` there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import IO, NoReturn

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sharedcli.ingest.sanitise import sanitise_line

_UNBOUNDED = 10_000
_DUMB = ("dumb", "unknown")


def clean(text: str, limit: int = 400) -> str:
    """Return text of a document, file name or model as one line that is safe on a terminal."""
    return sanitise_line(text, limit)


def wants_color(setting: str, environ: Mapping[str, str], is_terminal: bool) -> bool:
    """Decide about colour on one stream; ``setting`` is "auto", "always" or "never"."""
    if setting != "auto":
        return setting == "always"
    if environ.get("NO_COLOR"):
        return False
    if forced := environ.get("FORCE_COLOR"):
        return forced.lower() not in ("0", "false")
    return is_terminal and environ.get("TERM", "").lower() not in _DUMB


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Let the caller end quietly, instead of Rich's exit with code 1."""
        raise BrokenPipeError


class Terminal:
    """What is written where.

    Args:
        color: "auto", "always" or "never".
        environ: the environment.
        quiet: only errors reach stderr.
        still: no animation, even on a terminal.
    """

    def __init__(
        self, color: str, environ: Mapping[str, str], *, quiet: bool = False, still: bool = False
    ) -> None:
        self._color = color
        self._environ = environ
        self.quiet = quiet
        self._still = still

    @cached_property
    def out(self) -> Console:
        """The console of stdout: data."""
        return self._console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """The console of stderr: everything else."""
        return self._console(sys.stderr)

    @property
    def animated(self) -> bool:
        """Whether stderr may show what moves."""
        return not self.quiet and not self._still and self._lives(sys.stderr)

    def note(self, text: str | Text) -> None:
        """Tell the user something on stderr, unless quiet."""
        if not self.quiet:
            _print(self.err, text if isinstance(text, Text) else Text(text))

    def aside(self, text: str) -> None:
        """Tell something of less weight: dimmed."""
        self.note(Text(clean(text, 2000), style="dim"))

    def warning(self, text: str) -> None:
        """Tell something that the user should look at."""
        self.note(Text.assemble(("note: ", "yellow"), clean(text, 2000)))

    def error(self, message: str) -> None:
        """Print one error, also when quiet."""
        line = Text.assemble(("error: ", "bold red"), clean(message, 4000))
        self.err.print(line, soft_wrap=True)

    def show(self, item: RenderableType) -> None:
        """Print data on stdout."""
        _print(self.out, item)

    def tell(self, item: RenderableType) -> None:
        """Print on stderr, unless quiet."""
        if not self.quiet:
            _print(self.err, item)

    def _lives(self, stream: IO[str]) -> bool:
        return stream.isatty() and self._environ.get("TERM", "").lower() not in _DUMB

    def _console(self, stream: IO[str]) -> Console:
        lives = self._lives(stream)
        styled = wants_color(self._color, self._environ, stream.isatty())
        columns = self._environ.get("COLUMNS", "")
        width = int(columns) if columns.isdigit() and int(columns) > 0 else None
        return _Console(
            file=stream,
            force_terminal=lives or styled,
            color_system=("auto" if lives else "standard") if styled else None,
            no_color=not styled,
            width=width if lives or width else _UNBOUNDED,
            markup=False,
            emoji=False,
            highlight=False,
            _environ=self._environ,
        )


def _print(console: Console, item: RenderableType) -> None:
    """Print; off a terminal without the blanks that fill up a table's cells."""
    if isinstance(item, Text) or console.is_terminal:
        console.print(item, soft_wrap=isinstance(item, Text))
        return
    with console.capture() as captured:
        console.print(item)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines: dim headings, numbers to the right; the last column gives way."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        last = column == columns[-1]
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if last else len(column),
        )
    return table


def facts(rows: list[tuple[str, str]]) -> Table:
    """Names and values, one pair a line; values wrap."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(clean(value, 2000)))
    return table


def prompt(terminal: Terminal, words: Sequence[str]) -> None:
    """Show a command as it would be typed, with an empty line before it."""
    typed = " ".join(f'"{word}"' if " " in word else word for word in words)
    terminal.note(Text.assemble("\n", ("$ ", "dim"), (clean(typed, 1000), "bold")))


def hint(terminal: Terminal, text: str, command: str) -> None:
    """Say what could be done next."""
    terminal.note(Text.assemble("\n", (text, "dim"), (command, "bold")))
