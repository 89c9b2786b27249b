"""Which sources say word for word what an answer says.

Passages are found before the answer is written, so a citation alone does not tell where its words
come from. What stands in a source can be told without a model: letters and digits are compared,
neither case nor punctuation nor how lines are broken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST_WORDS = 4
"""Shorter sentences say little, and stand anywhere."""

_WORD = re.compile(r"\w+")
_BETWEEN = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|\n+")


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
