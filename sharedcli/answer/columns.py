"""Tables whose columns are years: which year a figure of a passage stands under.

A small decoder finds the row that a question asks for more often than the column. Where a table's
head names years and a row has a figure for each, what stands where can be told without a model, and
a figure of another year gives way to the one beside it.

Nothing is claimed of a row unless its columns are sure: it has as many figures as the head has
years, or its further figures are the change between the first two, which proves them.
``docs/reference/evaluation.md`` has what that is worth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sharedcli.answer.sentence import first_sentence

MOST_WORDS = 14
"""Words of a row's label or a head; a longer line is running text."""

YEAR = re.compile(r"(?<![\d,.$])(?:19|20)\d\d(?![\d%]|[,.]\d)")
_ASKED = re.compile(rf"(?<!\b[Tt]he )(?:{YEAR.pattern})")
"""A year that something is asked of; "the 2019 plan" is a plan's name."""
_DATE = re.compile(rf"(?:[^\W\d_]+ \d\d?,? )?{YEAR.pattern}")
_FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?")
_AMOUNT = re.compile(r"\d{3}|[$€£]\s?\d|\d\s?%")
_CELL = re.compile(r"\(?(?:[$€£]\s?)?\(?\d[\d,]*(?:\.\d+)?\s?\)?\s?%?\)?|(?<!\w)[—–-](?!\w)")
_NOTE = re.compile(r"\(\d\)\s*")
"""A footnote's number behind a label."""
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Correction:
    """A figure that the decoder said, and what stands beside it in the column of ``year``."""

    said: str
    instead: str
    year: str


@dataclass(frozen=True)
class Row:
    """A line of a table: its label, and (year, figure as written) of each column."""

    label: str
    cells: tuple[tuple[str, str], ...]


def in_asked_column(
    pieces: Iterator[str],
    question: str,
    passages: Sequence[str],
    note: Callable[[Correction], None],
) -> Iterator[str]:
    """Yield ``pieces``, figures of the first sentence in the column of the year that is asked for.

    Args:
        pieces: of an answer.
        question: as typed; unless it names one year, and only one, nothing is held back.
        passages: texts of the prompt.
        note: hears of every figure that is put in another's place.
    """
    years = set(_ASKED.findall(question))
    if len(years) == 1 and len(set(YEAR.findall(question))) == 1:
        year = years.pop()
        sentence = first_sentence(pieces)

        def column(found: re.Match[str]) -> str:
            said = found.group().rstrip(",")
            instead = None if said == year else other_year(said, year, passages)
            if instead is None:
                return found.group()
            note(Correction(said, instead, year))
            return instead + found.group()[len(said) :]

        if sentence:
            yield _FIGURE.sub(column, sentence)
    yield from pieces


def read_rows(text: str) -> Iterator[Row | str]:
    """Yield the lines of a passage, those as a ``Row`` whose columns are years for sure."""
    head: list[str] = []
    for line in text.split("\n"):
        if years := _head(line):
            head = years
        elif (row := _row(line, head)) is not None:
            yield row
            continue
        elif _ends_table(line):
            head = []
        yield line


def other_year(figure: str, year: str, passages: Iterable[str]) -> str | None:
    """Return what stands beside ``figure`` in the column of ``year``.

    None if ``figure`` also stands there, or in a text, or where that is not sure.
    """
    beside: set[str] = set()
    for line in (line for passage in passages for line in read_rows(passage)):
        if isinstance(line, str):
            if figure in _figures(line):
                return None
        elif figure in map(_bare, (cell for _, cell in line.cells)):
            asked = [cell for column, cell in line.cells if column == year]
            if len(asked) != 1 or not _FIGURE.search(asked[0]) or _negative(asked[0]):
                return None
            beside.add(_bare(asked[0]))
    return beside.pop() if len(beside) == 1 and figure not in beside else None


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
    figures = (cell.group() for cell in cells)
    return Row(label, tuple(zip(head, figures, strict=False)))


def _last_cells(line: str) -> list[re.Match[str]]:
    """The cells at the end of a line with nothing but blanks between them."""
    found: list[re.Match[str]] = []
    end = len(line.rstrip())
    for cell in reversed(list(_CELL.finditer(line))):
        if line[cell.end() : end].strip():
            break
        found.insert(0, cell)
        end = cell.start()
    return found


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
        if _FIGURE.search(cell)
        for change, near in changes
    )


def _ends_table(line: str) -> bool:
    """Running text, or the head of other columns."""
    words = len(_WORD.findall(line))
    if words > MOST_WORDS or _last_cells(_DATE.sub(" ", line)):
        return words > MOST_WORDS
    return bool(YEAR.search(line)) or (words > 1 and "  " in line.strip())


def _value(cell: str) -> float:
    found = _FIGURE.search(cell)
    return 0.0 if found is None else float(found.group().replace(",", ""))


def _decimals(cell: str) -> int:
    return len(cell.partition(".")[2].rstrip(" )%"))


def _negative(cell: str) -> bool:
    return "(" in cell


def _bare(cell: str) -> str:
    found = _FIGURE.search(cell)
    return "" if found is None else found.group()


def _figures(text: str) -> list[str]:
    return [found.rstrip(",") for found in _FIGURE.findall(text)]
