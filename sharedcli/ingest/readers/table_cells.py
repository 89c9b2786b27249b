"""Which blank cells of a marked-up table get a dash.

Without one, a row's figure would slide under the heading of another column, as on laid-out pages
(``blank_cells``). Tables of reports are full of blank cells that only keep columns apart: a blank
cell counts if most rows with figures have one in its column.

It knows columns and places of text, not markup.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

_LEAST_ROWS = 3
_USUAL = 0.6  # share of the rows with figures that have one in a column
_WIDEST = 1000  # browsers read no larger colspan (html.spec.whatwg.org)


@dataclass(frozen=True)
class _Cell:
    column: int
    span: int
    place: int  # where a dash would go
    text: str


@dataclass
class TableCells:
    """The cells of one table, in document order."""

    _rows: list[list[_Cell]] = field(default_factory=list)
    _next: int = 0
    _certain: bool = True

    def row(self) -> None:
        """Begin a row."""
        self._rows.append([])
        self._next = 0

    def cell(self, text: str, place: int, colspan: int, rowspan: int) -> None:
        """Add a cell with its text; ``blank`` names its ``place`` if it needs a dash."""
        # What a cell of several rows leaves over is not worked out: no dash is better than a wrong.
        self._certain &= rowspan == 1
        span = min(max(colspan, 1), _WIDEST)
        if self._rows:
            self._rows[-1].append(_Cell(self._next, span, place, text.strip()))
        self._next += span

    def blank(self) -> dict[int, int]:
        """Return how many columns of figures lie blank at each place."""
        rows = [row for row in self._rows if row and row[0].text and any(map(_is_figure, row[1:]))]
        if not self._certain or len(rows) < _LEAST_ROWS:
            return {}
        figures = Counter(cell.column for row in rows for cell in row[1:] if _is_figure(cell))
        usual = sorted(column for column, n in figures.items() if n >= _USUAL * len(rows))
        found: dict[int, int] = {}
        for cell in (cell for row in rows for cell in row[1:] if not cell.text):
            end = cell.column + cell.span
            if under := bisect_left(usual, end) - bisect_left(usual, cell.column):
                found[cell.place] = under
        return found


def _is_figure(cell: _Cell) -> bool:
    """A cell of digits, or of a dash that stands for them."""
    return any(map(str.isdigit, cell.text)) or cell.text in {"-", "–", "—"}
