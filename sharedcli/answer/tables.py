"""Tables of a passage whose columns are years: which row and year a figure stands in.

Nothing is claimed of a line unless its columns are sure: it has as many figures as the head has
years, or its further figures are the change between the first two, which proves them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

MOST_WORDS = 14
"""Words of a row's label or a head; a longer line is running text."""

YEAR = re.compile(r"(?<![\d,.$])(?:19|20)\d\d(?![\d%]|[,.]\d)")
DATE = re.compile(rf"(?:[^\W\d_]+ \d\d?,? )?{YEAR.pattern}")
FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?")
_AMOUNT = re.compile(r"\d{3}|[$€£]\s?\d|\d\s?%")
_CELL = re.compile(r"\(?(?:[$€£]\s?)?\(?\d[\d,]*(?:\.\d+)?\s?\)?\s?%?\)?|(?<!\w)[—–-](?!\w)")
_NOTE = re.compile(r"\(\d\)\s*")
"""A footnote's number behind a label."""
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Cell:
    """A figure as it is written, without its currency, and its column's year.

    ``figure`` is "" for a dash; ``negative`` is one in parentheses: a loss, or what was paid.
    """

    year: str
    figure: str
    percent: bool = False
    negative: bool = False


@dataclass(frozen=True)
class Row:
    """A line of a table: its label and its cells."""

    label: str
    cells: tuple[Cell, ...]

    def of(self, year: str) -> Cell | None:
        """The cell of ``year``; None if no column has it, or several."""
        found = [cell for cell in self.cells if cell.year == year]
        return found[0] if len(found) == 1 else None


def read_lines(text: str, before: str = "") -> Iterator[Row | str]:
    """Iterate over the lines of a passage, those as a ``Row`` whose columns are years for sure.

    Args:
        text: the passage.
        before: what stands before it, where a table that it goes on with has its head.
    """
    earlier = before.split("\n")
    return islice(_read([*earlier, *text.split("\n")]), len(earlier), None)


def _read(lines: Iterable[str]) -> Iterator[Row | str]:
    head: list[str] = []
    for line in lines:
        if years := _head(line):
            head = years
        elif (row := _row(line, head)) is not None:
            yield row
            continue
        elif _ends_table(line):
            head = []
        yield line


def figures_of(text: str) -> list[str]:
    """The figures of a text as they are written, years and all."""
    return [found.rstrip(",") for found in FIGURE.findall(text)]


def _head(line: str) -> list[str]:
    """The years of a table's head; none if the line is something else."""
    years = YEAR.findall(line)
    rest = YEAR.sub(" ", line)
    if len(years) < 2 or len(_WORD.findall(rest)) > MOST_WORDS or _AMOUNT.search(rest):
        return []
    return [] if rest.rstrip().endswith((".", ";")) else years


def _row(line: str, head: Sequence[str]) -> Row | None:
    cells = _last_cells(line) if head else []
    if cells and not _sure(cells, len(head)) and _NOTE.fullmatch(cells[0].group()):
        del cells[0]
    if not cells or not _sure(cells, len(head)):
        return None
    label = line[: cells[0].start()].strip()
    if not _WORD.search(label) or len(label.split()) > MOST_WORDS:
        return None
    return Row(label, tuple(_cells(head, cells)))


def _cells(head: Sequence[str], found: Iterable[re.Match[str]]) -> Iterator[Cell]:
    for year, cell in zip(head, found, strict=False):
        figure = FIGURE.search(cell.group())
        text = cell.group()
        yield Cell(year, figure.group() if figure else "", "%" in text, "(" in text)


def _last_cells(line: str) -> list[re.Match[str]]:
    """The cells at the end of a line with nothing but blanks between them."""
    found: list[re.Match[str]] = []
    end = len(line.rstrip())
    for cell in reversed(list(_CELL.finditer(line))):
        if line[cell.end() : end].strip():
            break
        found.append(cell)
        end = cell.start()
    return found[::-1]


def _sure(found: Sequence[re.Match[str]], years: int) -> bool:
    """Whether the first cells are those of the years: the rest is how the first two differ."""
    cells = [cell.group() for cell in found]
    if len(cells) <= years or years != 2:
        return len(cells) == years
    new, old = map(_value, cells[:2])
    changes = [(new - old, 1.01)]  # each of the two was rounded
    changes += [(100 * (new / old - 1), 0.51)] if old else []
    return any(
        abs(abs(_value(cell)) - abs(change)) <= near * 10.0 ** -_decimals(cell)
        for cell in cells[2:]
        if FIGURE.search(cell)
        for change, near in changes
    )


def _ends_table(line: str) -> bool:
    """Running text, or the head of other columns."""
    words = len(_WORD.findall(line))
    if words > MOST_WORDS or _last_cells(DATE.sub(" ", line)):
        return words > MOST_WORDS
    return bool(YEAR.search(line)) or (words > 1 and "  " in line.strip())


def _value(cell: str) -> float:
    found = FIGURE.search(cell)
    return 0.0 if found is None else float(found.group().replace(",", ""))


def _decimals(cell: str) -> int:
    return len(cell.partition(".")[2].rstrip(" )%"))
