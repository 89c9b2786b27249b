"""Sentences of a text around an answer that people marked in it, and statements made of questions.

It knows nothing of tokens.
"""

from __future__ import annotations

import re

MOST_WORDS = 80
"""A longer sentence is a list or a table."""
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


def sentence_around(text: str, start: int, end: int) -> str | None:
    """The sentence of ``text`` that holds the characters from ``start`` to ``end``.

    Returns:
        It, with the one before it in its line, which names what it speaks of, and single spaces;
        None where they lie in no one sentence, such as in a table's row or across two.
    """
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    line = text[first : len(text) if last < 0 else last]
    start, end = start - first, end - first
    edges = [0]
    for match in _END.finditer(line):
        if not _ABBREVIATED.search(line, max(0, match.end() - 8), match.end()):
            edges.append(match.end())
    edges.append(len(line))
    holding = next(i for i, edge in enumerate(edges[1:]) if edge >= end)
    sentence = " ".join(line[edges[holding] : edges[holding + 1]].split())
    whole = _OPENED.match(sentence) and _CLOSED.search(sentence)
    if edges[holding] > start or not whole or len(sentence.split()) > MOST_WORDS:
        return None
    before = line[edges[max(0, holding - 1)] : edges[holding]].split()
    return " ".join((*before, sentence)) if len(before) <= MOST_WORDS else sentence


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
