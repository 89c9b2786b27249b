"""Blank cells of a table on a page that was laid out in columns of characters.

Where blanks are folded, a row's figure would slide under the heading of another column: "Impairment
217" may be of 2022 or of 2020. So a blank cell gets a dash, as most reports write it themselves.

Notable choices:
- Figures are set flush right: a column is where most full rows of a table have right edges.
- Only what is certain is filled: every figure of the row lies under a column, the cell is blank,
  and most rows have a figure there.
- A line of years begins a new table, and so does prose.

It knows nothing of PDF: strings in, strings out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median_low

DASH = "—"
_FIGURE = re.compile(
    r"(?<=\s)(?:[$€£¥] {0,9})?(\(?\d(?:[\d,.]{0,18}\d)?\)?%?|[—–-])(?= {0,3}%?(?:\s|\Z))"
)
_YEARS = re.compile(r"\s*(?:(?:19|20)\d\d\*?\s*){2,}\Z")
_GAP = re.compile(r"\S {3,}\S")
_LEAST_ROWS = 3
_REACH = 5  # characters between a figure's right edge and its column's
_ROOM = 4  # blanks that a cell needs
_USUAL = 0.6  # share of a table's rows that have a figure in a column
_LINE = 400  # longer lines are no table's

_Row = list[re.Match[str]]


def fill_blank_cells(laid_out: str) -> str:
    """Return the page with a dash in each blank cell of a table's rows.

    Args:
        laid_out: text whose columns are aligned by blanks.
    """
    lines = laid_out.split("\n")
    for table in _tables(lines):
        rows = {number: _row(lines[number]) for number in table}
        columns = _columns(list(rows.values()))
        for number, row in rows.items():
            if 0 < len(row) < len(columns) and lines[number][: row[0].start()].strip():
                lines[number] = _filled(lines[number], row, columns)
    return "\n".join(lines)


def _row(line: str) -> _Row:
    """The figures at the end of a line, with no word behind or between them."""
    if len(line) > _LINE:
        return []
    row: _Row = []
    end = len(line)
    for figure in reversed([*_FIGURE.finditer(line)]):
        if any(map(str.isalpha, line[figure.end() : end])):
            break
        row.append(figure)
        end = figure.start()
    return row[::-1]


def _tables(lines: Sequence[str]) -> Iterator[list[int]]:
    """Numbers of the lines of each table."""
    table: list[int] = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        row = bool(_row(line))
        if _YEARS.match(line) or not (row or _GAP.search(line) or len(line.strip()) < _LINE // 4):
            yield table
            table = []
        if row:
            table.append(number)
    yield table


def _columns(rows: Sequence[_Row]) -> list[int]:
    """Right edges of the columns; empty unless most rows show all of them."""
    most = max(map(len, rows), default=0)
    full = [row for row in rows if len(row) == most]
    if most < 2 or len(full) < _LEAST_ROWS:
        return []
    edges = [median_low(row[column].end(1) for row in full) for column in range(most)]
    near = [_near(edges, row) for row in rows]
    usual = all(
        sum(column in places for places in near) >= _USUAL * len(rows) for column in range(most)
    )
    return edges if usual else []


def _near(edges: Sequence[int], row: _Row) -> list[int]:
    """The column of each figure; -1 where none is near."""
    found: list[int] = []
    for cell in row:
        distance, column = min((abs(edge - cell.end(1)), c) for c, edge in enumerate(edges))
        found.append(column if distance <= _REACH else -1)
    return found


def _filled(line: str, row: _Row, edges: Sequence[int]) -> str:
    """The line with dashes; as it is if its figures are not each in a column of their own."""
    taken = _near(edges, row)
    if -1 in taken or len(set(taken)) < len(taken):
        return line
    for column in sorted(set(range(len(edges))) - set(taken)):
        edge = edges[column]
        line = line.ljust(edge + 1)
        if not line[edge - _ROOM : edge + 1].strip():
            line = f"{line[: edge - 1]}{DASH}{line[edge:]}"
    return line.rstrip()
