"""The row of a table that a question asks for: "What was operating income in 2021?"

A row is asked for where its label is all that the question has beside one year, words of the
question form, and the document's name. A part of the label, or of the question, is not enough: the
"adjusted operating income" is another row's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sharedcli.answer.prompt import Excerpt
from sharedcli.answer.tables import DATE, YEAR, Cell, Row, read_lines

_ASKED = re.compile(rf"(?<!\b[Tt]he )(?:{YEAR.pattern})")
"""A year that something is asked of; "the 2019 plan" is a plan's name."""
_FISCAL = re.compile(r"\bFY\s?'?(?:20)?(\d\d)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:[&'’.-][^\W_]+)*")
ASIDE = re.compile(r"\([^)]*\)")
"""What a label has in parentheses: "Income (loss)"."""
_PLURAL = re.compile(r"(?<=[^\Ws]{3})s\Z")
_FORM_TEXT = """
what which how much many was were is are did does do has have had be been come came the a an of in
for at on as by to its their it they year years fiscal ended ending end during full annual company
amount figure value report reported
"""
TOTAL = frozenset(["total", "consolidated"])


def words_of(text: str) -> list[str]:
    """The words of a label or a sentence as they are compared: no case, genitive or plural."""
    words = (word.casefold().replace("’", "'") for word in _WORD.findall(text))
    return [_PLURAL.sub("", word.removesuffix("'s")) for word in words]


_FORM = TOTAL.union(words_of(_FORM_TEXT))


@dataclass(frozen=True)
class Line:
    """A line as ``read_lines`` tells it, of which passage, and what its document is called."""

    text: Row | str
    passage: int
    called: str


@dataclass(frozen=True)
class Place:
    """A row, its cell of the year that is asked for, and the passage that it stands in."""

    row: Row
    cell: Cell
    passage: int


def lines_of(shown: Iterable[Excerpt]) -> list[Line]:
    """The lines of passages."""
    return [
        Line(line, passage, one.called)
        for passage, one in enumerate(shown)
        for line in read_lines(one.text, one.before)
    ]


def asked_year(question: str) -> str | None:
    """The year that a question names; None if it names none, or several."""
    text = _with_whole_years(question)
    years = set(_ASKED.findall(text))
    return years.pop() if len(years) == 1 and len(set(YEAR.findall(text))) == 1 else None


def asked_place(question: str, lines: Sequence[Line]) -> Place | None:
    """The first row that a question asks for; one without its "total" if there is no other.

    None where rows of that label have other figures: they are of a segment, or of a quarter.
    """
    year = asked_year(question)
    if year is None:
        return None
    asked = words_of(DATE.sub(" ", _with_whole_years(question)))
    found = list(_labelled(asked, year, lines, total=False))
    found = found or list(_labelled(asked, year, lines, total=True))
    return found[0] if len({place.cell.figure for place in found}) == 1 else None


def _labelled(
    asked: list[str], year: str, lines: Sequence[Line], *, total: bool
) -> Iterator[Place]:
    for line in lines:
        if isinstance(row := line.text, Row) and (cell := row.of(year)) and cell.figure:
            name = words_of(line.called)
            if any(_is_all(label, asked, name) for label in _labels(row.label, total)):
                yield Place(row, cell, line.passage)


def _labels(label: str, total: bool) -> Iterator[list[str]]:
    """A label's words, and those without what is in parentheses."""
    for text in dict.fromkeys((label, ASIDE.sub(" ", label))):
        words = words_of(text)
        if not total:
            yield words
        elif words and words[0] in TOTAL:
            yield words[1:]


def _is_all(label: list[str], asked: list[str], name: list[str]) -> bool:
    size = len(label)
    for at in range(len(asked) - size + 1):
        if size and asked[at : at + size] == label:
            rest = asked[:at] + asked[at + size :]
            return all(word in _FORM or word in name for word in rest)
    return False


def _with_whole_years(question: str) -> str:
    return _FISCAL.sub(r"fiscal 20\1", question)
