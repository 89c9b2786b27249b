"""End an answer where it begins to say again what it has said.

Small models fall into loops: one sentence, over and over, or one phrase of a sentence that never
ends, until the tokens run out. A sentence that comes a second time is not shown, nor a phrase that
follows itself, and the answer ends before it. Only what may become one is held back, so all else
streams as it is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ABBREVIATIONS = r"(?<!\b[A-Za-z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z]{2}\.)(?<!\b[A-Z][a-z]{3}\.)"
"""Before a full stop that mostly ends none: "U.S.", "Mr.", "Inc.", "Corp."."""
_END = re.compile(rf"(?<=[.!?]){_ABBREVIATIONS}\s+|\n+")
_PART = re.compile(r"\s*\S+|\s+")
_WORD = re.compile(r"\S+")
_GOING_ON = re.compile(r"\S+\Z")
_LEAST_WORDS = 3
"""A shorter sentence may well be said twice: "Yes." or a line of a table."""
_LEAST_PHRASE = 4
"""Words of a phrase that follows itself; shorter ones are a manner of speaking: "up and down"."""
_REACH = 400
"""Characters at the end of what is being said among which a phrase that follows itself is seen."""


def without_repetition(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the text of ``pieces`` until a sentence comes again, or a phrase follows itself."""
    said: set[str] = set()
    tail = ""  # the end of all that was said: a line may be broken within a sentence
    current = ""  # the sentence that is being said
    held = ""  # what was not yielded yet
    for part in (part for piece in pieces for part in _PART.findall(piece)):
        tail, current, held = (tail + part)[-_REACH:], current + part, held + part
        while end := _END.search(current):
            sentence = " ".join(current[: end.start()].split())
            if sentence in said:
                yield from _without(held, current)
                return
            if len(sentence.split()) >= _LEAST_WORDS:
                said.add(sentence)
            current = current[end.end() :]
        if _loops(_finished(tail)):
            return
        again = len(current) if _may_repeat(current, said) else 0
        sure = len(held) - max(again, len(tail) - _surely_new(tail))
        if sure > 0:
            yield held[:sure]
            held = held[sure:]
    if not _loops(tail):
        begun = " ".join(current.split())
        again = any(f"{sentence} ".startswith(f"{begun} ") for sentence in said)  # by whole words
        yield from _without(held, current if again else "")


def _without(held: str, current: str) -> Iterator[str]:
    """What was held back before the sentence that is being said."""
    if text := held[: max(0, len(held) - len(current))]:
        yield text


def _may_repeat(current: str, said: set[str]) -> bool:
    """Whether what is being said is how one of the sentences began."""
    begun = " ".join(current.split())
    return any(sentence.startswith(begun) for sentence in said)


def _finished(current: str) -> str:
    """``current`` without the word that may still go on."""
    return _GOING_ON.sub("", current)


def _loops(text: str) -> bool:
    """Whether the text ends with a phrase that follows itself."""
    words = text[-_REACH:].split()
    return any(
        words[-length:] == words[-2 * length : -length] and _says_something(words[-length:])
        for length in range(_LEAST_PHRASE, len(words) // 2 + 1)
    )


def _surely_new(current: str) -> int:
    """Where the last words begin that may become such a phrase; the text's length if none may."""
    spans = [found.span() for found in _WORD.finditer(current, max(0, len(current) - _REACH))]
    words = [current[start:end] for start, end in spans]
    held = 0
    for length in range(_LEAST_PHRASE, len(words)):
        # the last word may still go on
        alike = int(words[-1 - length].startswith(words[-1]))
        while (
            alike
            and alike < len(words) - length
            and words[-1 - alike] == words[-1 - alike - length]
        ):
            alike += 1
        before = len(words) - alike
        if alike > held and _says_something(words[before - length : before]):
            held = alike
    return spans[-held][0] if held else len(current)


def _says_something(phrase: list[str]) -> bool:
    """Numbers of a table may well follow themselves."""
    return len({word for word in phrase if any(map(str.isalpha, word))}) > 1
