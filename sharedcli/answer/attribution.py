"""Which sources say what an answer says: whole sentences, and its figures and names.

Passages are found before the answer is written, so a citation alone does not tell where its words
come from. What stands in a source can be told without a model: letters and digits are compared,
neither case nor punctuation nor how lines are broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LEAST_WORDS = 4
"""Shorter sentences say little, and stand anywhere."""

_WORD = re.compile(r"\w+")
_BETWEEN = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|\n+")
_PART = re.compile(r"\d[\d.,]*\d|\w+")
"""A word or a whole figure."""
_SCALES = frozenset(["hundred", "thousand", "million", "billion", "trillion", "percent"])
_SCALED = re.compile(rf"(.*\d\W*)\b({'|'.join(sorted(_SCALES))})\W*", re.I | re.S)


def stating(answer: str, sources: Sequence[str]) -> tuple[bool, ...]:
    """For each source whether a sentence of ``answer`` stands there word for word."""
    sentences = [words_alone(part) for part in _BETWEEN.split(answer)]
    long = [sentence for sentence in sentences if sentence.count(" ") > LEAST_WORDS]
    if not long:
        return (False,) * len(sources)
    return tuple(any(sentence in text for sentence in long) for text in map(words_alone, sources))


def words_alone(text: str) -> str:
    """The words of ``text`` in lower case, each between spaces, so that only whole ones match."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def specifics(answer: str, question: str) -> tuple[str, ...]:
    """Figures and names that ``answer`` adds to ``question``, as it writes them, each once.

    A name is what has capitals within a sentence; what follows one another is one: "Ron Delia",
    "March 30, 2023", "315 million".
    """
    asked = set(map(_folded, _PART.findall(question)))
    found = (text for part in _BETWEEN.split(answer) for text in _of_sentence(part, asked))
    return tuple({_parts_alone(text): text for text in found}.values())


def holding(wanted: Sequence[str], sources: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """For each source those of ``wanted``, from ``specifics``, that stand there as a whole.

    "315 million" does where "315" stands and "millions", as above the columns of a table.
    """
    texts = map(_parts_alone, sources)
    return tuple(tuple(one for one in wanted if _stands(one, text)) for text in texts)


def unscaled(figure: str) -> tuple[str, str]:
    """A figure without the "million" behind it, and that; the figure and "" where none is."""
    found = _SCALED.fullmatch(figure)
    return (found[1], found[2].casefold()) if found else (figure, "")


def _stands(one: str, text: str) -> bool:
    if _parts_alone(one) in text:
        return True
    bare, scale = unscaled(one)
    return bool(scale) and _parts_alone(bare) in text and f" {scale}s " in text


def _of_sentence(sentence: str, asked: set[str]) -> Iterator[str]:
    run: list[re.Match[str]] = []
    for number, part in enumerate(_PART.finditer(sentence)):
        text = _folded(part.group())
        name = number > 0 and part.group()[0].isupper()  # every sentence begins with a capital
        figure = any(map(str.isdigit, text)) or (run and text in _SCALES)
        if (name or figure) and text not in asked:
            run.append(part)
        elif run:
            yield sentence[run[0].start() : run[-1].end()]
            run = []
    if run:
        yield sentence[run[0].start() : run[-1].end()]


def _folded(part: str) -> str:
    return part.replace(",", "").casefold()


def _parts_alone(text: str) -> str:
    """As ``words_alone``, figures whole and without their thousands' commas."""
    return f" {' '.join(map(_folded, _PART.findall(text)))} "
