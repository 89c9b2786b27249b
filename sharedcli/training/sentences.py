"""Answers that people marked as a few words, made whole sentences.

A short answer says nothing of what it was taken for, and a small model that is taught to give one
gives one where it is wrong too. A sentence of the source can be read on its own, and a decoder that
copies it writes what stands in its prompt.

It knows nothing of tokens.
"""

from __future__ import annotations

import re

MOST_WORDS = 40
"""Longer sentences of a source are no answers."""
LEAST_WORDS = 4
MOST_TURNED = 12
"""Words of an answer that a turned question can carry."""

_END = re.compile(r"[.!?][\"'”’)\]]{0,2}(?=\s+[\"'“‘(\[]{0,2}[A-Z0-9])")
_CLOSED = re.compile(r"[.!?][\"'”’)\]]{0,2}\Z")
_OPENED = re.compile(r"[\"'“‘(\[]{0,2}[A-Z0-9]")
_ABBREVIATED = re.compile(
    r"(?:\b[A-Za-z]|\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nos|Fig|Figs|Eq|Sec|Vol|vs|cf|etc|al|approx|"
    r"Inc|Ltd|Co|Corp|Jr|Sr|Gen|Col|Capt|Lt|Rev|ca|ed|eds|pp|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|"
    r"Dec))\.\Z"
)
_ASKED = re.compile(
    r"(?:what|who|which|how much|how many)\s+(is|are|was|were)\s+"
    r"((?:the|its|their|his|her|our)\s[^?]+?)\s*\?*\Z",
    re.IGNORECASE,
)


def as_sentence(question: str, answer: str, text: str, start: int, end: int) -> str | None:
    """A sentence that answers ``question``, for a marked ``answer``.

    The source's own is preferred, then the question turned round; an answer may be one already.

    Args:
        question, answer: as people gave them.
        text: the source; its characters from ``start`` to ``end`` are the answer.

    Returns:
        It; None where no sentence can be had.
    """
    return sentence_at(text, start, end) or turned_round(question, answer) or _whole(answer)


def sentence_at(text: str, start: int, end: int) -> str | None:
    """The sentence of ``text`` that holds the characters from ``start`` to ``end``.

    Returns:
        It, with single spaces; None where they lie in no one sentence of ``LEAST_WORDS`` to
        ``MOST_WORDS`` words, such as in a table's row or across two.
    """
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    line = text[first : len(text) if last < 0 else last]
    start, end = start - first, end - first
    begin = 0
    for match in _END.finditer(line):
        edge = match.end()
        if _ABBREVIATED.search(line, max(0, edge - 8), edge):
            continue
        if edge >= end:
            return _whole(line[begin:edge])
        if edge > start:
            return None
        begin = edge
    return _whole(line[begin:])


def _whole(text: str) -> str | None:
    words = text.split()
    text = " ".join(words)
    fits = LEAST_WORDS <= len(words) <= MOST_WORDS
    return text if fits and _OPENED.match(text) and _CLOSED.search(text) else None


def turned_round(question: str, answer: str) -> str | None:
    """A question for what something is, with its answer, as a statement.

    None for other questions, and for answers of more than ``MOST_TURNED`` words.
    """
    match = _ASKED.match(question.strip())
    answer = " ".join(answer.split()).rstrip(".")
    if match is None or not 0 < len(answer.split()) <= MOST_TURNED:
        return None
    verb, subject = match.groups()
    subject = " ".join(subject.split())
    return f"{subject[0].upper()}{subject[1:]} {verb.lower()} {answer}."
