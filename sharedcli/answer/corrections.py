"""What an answer says for a figure that stands in the wrong place of a table.

A small decoder finds the passage more often than the row, and the row more often than the column.
Where the question names one year, and the columns of a table are years, two things can be told
without a model:

- a figure of another year has the one beside it that was asked for;
- a question that is a row's label and nothing else ("What was operating income in 2021?") asks for
  that row's figure.

Everything else stays as the decoder said it, and each correction is told. What they are worth is in
``docs/reference/evaluation.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sharedcli.answer.prompt import Excerpt
from sharedcli.answer.sentence import first_sentence
from sharedcli.answer.tables import DATE, YEAR, Cell, Row, figures_of, read_lines

TELLING = 4
"""Characters of a figure that is hardly of two things: "8,902", "6.75"."""

_ASKED = re.compile(rf"(?<!\b[Tt]he )(?:{YEAR.pattern})")
"""A year that something is asked of; "the 2019 plan" is a plan's name."""
_FISCAL = re.compile(r"\bFY\s?'?(?:20)?(\d\d)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:[&'’.-][^\W_]+)*")
_ASIDE = re.compile(r"\([^)]*\)")
_SCALE = re.compile(r"\s*(?:thousand|million|billion|trillion)")
_TOTAL = frozenset(["total", "consolidated"])
_FORM_TEXT = """
what which how much many was were is are did does do has have had be been come came the a an of in
for at on as by to its their it they year years fiscal ended ending end during full annual company
amount figure value report reported
"""
_FORM = frozenset(_FORM_TEXT.split()) | _TOTAL
"""Words of a question that ask for a row's figure, beside its label."""


@dataclass(frozen=True)
class Correction:
    """A figure that the decoder said, and the one in its place: of this row and year."""

    said: str
    instead: str
    row: str
    year: str


@dataclass(frozen=True)
class _Place:
    row: Row
    cell: Cell


_Line = tuple[str, Row | str]
"""Of a passage, with its document's name."""


def as_tables_say(
    pieces: Iterator[str],
    question: str,
    shown: Sequence[Excerpt],
    note: Callable[[Correction], None],
) -> Iterator[str]:
    """Yield ``pieces``, the figures of the first sentence as the tables have them.

    Args:
        pieces: of an answer.
        question: as typed; unless it names one year, and only one, nothing is held back.
        shown: the passages of the prompt.
        note: hears of every figure that is put in another's place.
    """
    question = _FISCAL.sub(r"fiscal 20\1", question)
    years = set(_ASKED.findall(question))
    if len(years) == 1 and len(set(YEAR.findall(question))) == 1:
        sentence = first_sentence(pieces)
        for one in _corrections(sentence, question, years.pop(), shown):
            note(one)
            said = re.compile(rf"(?<![\d.,]){re.escape(one.said)}(?!\d|[.,]\d)")
            sentence = said.sub(one.instead, sentence)
        if sentence:
            yield sentence
    yield from pieces


def _corrections(
    sentence: str, question: str, year: str, shown: Sequence[Excerpt]
) -> list[Correction]:
    lines = [(one.name, line) for one in shown for line in read_lines(one.text, one.before)]
    rows = [line for _, line in lines if isinstance(line, Row)]
    known = set(figures_of(question))
    said = [one for one in dict.fromkeys(figures_of(sentence)) if one not in known]
    said = [one for one in said if not YEAR.fullmatch(one)]
    places = _labelled(question, year, lines) or _labelled(question, year, lines, total=True)
    sure = len(said) == 1 and len({place.cell.figure for place in places}) == 1
    if sure and _may_replace(said[0], places[0], sentence, lines):
        return [_correction(said[0], places[0])]
    if any(cell.figure in said for row in rows for cell in row.cells if cell.year == year):
        return []  # others may be there to compare with
    beside = ((figure, _beside(figure, year, lines)) for figure in said)
    return [_correction(figure, place) for figure, place in beside if place is not None]


def _correction(said: str, place: _Place) -> Correction:
    return Correction(said, place.cell.figure, place.row.label, place.cell.year)


def _beside(figure: str, year: str, lines: Sequence[_Line]) -> _Place | None:
    """What stands beside ``figure`` in the column of ``year``.

    None where ``figure`` stands elsewhere, too: a short one, which may be of anything, in any other
    line, a longer one in a line that names the year.
    """
    found: dict[str, _Place] = {}
    for _, line in lines:
        if isinstance(line, str):
            if figure in figures_of(line) and (len(figure) < TELLING or year in line):
                return None
            continue
        for said in (cell for cell in line.cells if cell.figure == figure):
            cell = line.of(year)
            if cell is None or not cell.figure or cell.negative != said.negative:
                return None
            found[cell.figure] = _Place(line, cell)
    return next(iter(found.values())) if len(found) == 1 else None


def _labelled(
    question: str, year: str, lines: Sequence[_Line], *, total: bool = False
) -> list[_Place]:
    """The rows whose label, with or without its "total", is all that is asked for."""
    asked = _words(DATE.sub(" ", question))
    found = []
    for name, line in lines:
        if isinstance(line, Row) and any(
            _is_all(label, asked, name.casefold()) for label in _labels(line.label, total)
        ):
            cell = line.of(year) or Cell(year, "")
            found.append(_Place(line, cell))
    return found


def _labels(label: str, total: bool) -> Iterator[list[str]]:
    """A label's words, and those without what is in parentheses."""
    for text in dict.fromkeys((label, _ASIDE.sub(" ", label))):
        words = _words(text)
        if not total:
            yield words
        elif words and words[0] in _TOTAL:
            yield words[1:]


def _is_all(label: list[str], asked: list[str], name: str) -> bool:
    """Whether the question is the label, words of the question form, and the document's name."""
    size = len(label)
    for at in range(len(asked) - size + 1):
        if size and asked[at : at + size] == label:
            rest = asked[:at] + asked[at + size :]
            return all(word in _FORM or (len(word) > 1 and word in name) for word in rest)
    return False


def _may_replace(figure: str, place: _Place, sentence: str, lines: Sequence[_Line]) -> bool:
    """Whether a row's figure fits where another stands, which the text does not give itself."""
    if place.cell.figure in ("", figure) or place.cell.negative:  # a loss is not its amount
        return False
    if not set(_words(_ASIDE.sub(" ", place.row.label))) <= set(_words(sentence)) | _TOTAL:
        return False
    behind = sentence[sentence.index(figure) + len(figure) :]
    if behind.lstrip().startswith("%") != place.cell.percent:
        return False
    rows = [line for _, line in lines if isinstance(line, Row)]
    if _SCALE.match(behind) and not any(figure == c.figure for row in rows for c in row.cells):
        return False
    label = " ".join(_words(place.row.label))
    texts = (line for _, line in lines if isinstance(line, str) and figure in figures_of(line))
    return not any(label in " ".join(_words(line)) for line in texts)


def _words(text: str) -> list[str]:
    words = (word.casefold().replace("’", "'") for word in _WORD.findall(text))
    return [word.removesuffix("'s") for word in words]
