"""What an answer says for a figure that stands in the wrong place of a table.

A small decoder finds the passage more often than the row, and the row more often than the column.
Where the question names one year, and the columns of a table are years, two things can be told
without a model:

- a figure of another year has the one beside it that was asked for;
- a question that is a row's label and nothing else (``asked_row``) asks for that row's figure.

Everything else stays as the decoder said it, and each correction is told. What they are worth is in
``docs/reference/evaluation.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sharedcli.answer.asked_row import (
    ASIDE,
    TOTAL,
    Line,
    Place,
    asked_year,
    lines_of,
    words_of,
)
from sharedcli.answer.prompt import Excerpt
from sharedcli.answer.sentence import first_sentence
from sharedcli.answer.tables import YEAR, Cell, Row, figures_of

TELLING = 4
"""Characters of a figure that is hardly of two things: "8,902", "6.75"."""

_SCALE = re.compile(r"\s*(thousand|million|billion|trillion)")
_SPENT_TEXT = """
paid payments repayments purchases repurchases dividends expense costs spending expenditures
"""
_SPENT = frozenset(words_of(_SPENT_TEXT))
"""Of what parentheses say that it goes out; of other rows, that it is a loss."""


@dataclass(frozen=True)
class Correction:
    """A figure that the decoder said, and the one in its place: of this row and year."""

    said: str
    instead: str
    row: str
    year: str


def as_tables_say(
    pieces: Iterator[str],
    question: str,
    shown: Sequence[Excerpt],
    asked: Place | None,
    note: Callable[[Correction], None],
) -> Iterator[str]:
    """Yield ``pieces``, the figures of the first sentence as the tables have them.

    Args:
        pieces: of an answer.
        question: as typed; unless it names one year, and only one, nothing is held back.
        shown: the passages of the prompt.
        asked: the row that the question asks for.
        note: hears of every figure that is put in another's place.
    """
    year = asked_year(question)
    if year is not None:
        sentence = first_sentence(pieces)
        for one in _corrections(sentence, question, year, lines_of(shown), asked):
            note(one)
            said = re.compile(rf"(?<![\d.,]){re.escape(one.said)}(?!\d|[.,]\d)")
            sentence = said.sub(one.instead, sentence)
        if sentence:
            yield sentence
    yield from pieces


def _corrections(
    sentence: str, question: str, year: str, lines: Sequence[Line], asked: Place | None
) -> list[Correction]:
    known = set(figures_of(question))
    said = [one for one in dict.fromkeys(figures_of(sentence)) if one not in known]
    said = [one for one in said if not YEAR.fullmatch(one)]
    if asked and len(said) == 1 and _may_replace(said[0], asked, sentence, lines):
        return [Correction(said[0], asked.cell.figure, asked.row.label, year)]
    if any(cell.figure in said for row in _rows(lines) for cell in row.cells if cell.year == year):
        return []  # others may be there to compare with
    beside = (_beside(figure, year, lines) for figure in said)
    return [one for one in beside if one is not None]


def _rows(lines: Sequence[Line]) -> list[Row]:
    return [line.text for line in lines if isinstance(line.text, Row)]


def _texts(lines: Sequence[Line], figure: str) -> list[str]:
    """Lines that are no rows and have a figure."""
    texts = (line.text for line in lines if isinstance(line.text, str))
    return [text for text in texts if figure in figures_of(text)]


def _beside(figure: str, year: str, lines: Sequence[Line]) -> Correction | None:
    """What stands beside ``figure`` in the column of ``year``.

    None where ``figure`` stands elsewhere, too: a short one, which may be of anything, in any other
    line, a longer one in a line that names the year.
    """
    if any(len(figure) < TELLING or year in text for text in _texts(lines, figure)):
        return None
    found: dict[str, tuple[Row, Cell]] = {}
    for row in _rows(lines):
        for said in (cell for cell in row.cells if cell.figure == figure):
            cell = row.of(year)
            if cell is None or not cell.figure or cell.negative != said.negative:
                return None
            found[cell.figure] = (row, cell)
    if len(found) != 1:
        return None
    ((row, cell),) = found.values()
    return Correction(figure, cell.figure, row.label, year)


def _is_scale(scale: str, figure: str, lines: Sequence[Line]) -> bool:
    """Whether "million" is what a table's figures are: it has this one, or "(Millions)" above."""
    if any(cell.figure == figure for row in _rows(lines) for cell in row.cells):
        return True
    return any(f"{scale}s" in line.text.casefold() for line in lines if isinstance(line.text, str))


def _may_replace(figure: str, place: Place, sentence: str, lines: Sequence[Line]) -> bool:
    """Whether a row's figure fits where another stands, which the text does not give itself."""
    label = words_of(ASIDE.sub(" ", place.row.label))
    if place.cell.figure == figure or not set(label) <= TOTAL.union(words_of(sentence)):
        return False
    if place.cell.negative and _SPENT.isdisjoint(label):
        return False
    behind = sentence[sentence.index(figure) + len(figure) :]
    if behind.lstrip().startswith("%") != place.cell.percent:
        return False
    if (scale := _SCALE.match(behind)) and not _is_scale(scale[1], figure, lines):
        return False
    whole = " ".join(words_of(place.row.label))
    return not any(whole in " ".join(words_of(text)) for text in _texts(lines, figure))
