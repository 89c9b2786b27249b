"""End an answer where it begins to say again what it has said.

Small models fall into loops: one sentence, over and over, until the tokens run out. A sentence that
comes a second time is not shown, and the answer ends before it. Only what may become one is held
back, so all else streams as it is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LEAST_WORDS = 3
"""A shorter sentence may well be said twice: "Yes." or a line of a table."""


def without_repetition(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the text of ``pieces`` until a sentence of three words or more comes again."""
    said: set[str] = set()
    current, shown = "", 0  # the sentence that is being said, and how much of it was yielded
    for piece in pieces:
        current += piece
        while end := _END.search(current):
            sentence = " ".join(current[: end.start()].split())
            if sentence in said:
                return
            if len(sentence.split()) >= _LEAST_WORDS:
                said.add(sentence)
            if text := current[shown : end.end()]:
                yield text
            current, shown = current[end.end() :], 0
        if not _may_repeat(current, said):
            if text := current[shown:]:
                yield text
            shown = len(current)
    if current[shown:] and not _may_repeat(current, said):
        yield current[shown:]


def _may_repeat(current: str, said: set[str]) -> bool:
    """Whether what is being said is how one of the sentences began."""
    begun = " ".join(current.split())
    return any(sentence.startswith(begun) for sentence in said)
