"""Questions that a context does not answer, to teach a decoder to say so.

Notable choices:
- The best are about the same document, and answered outside the part that is read: a search finds
  passages for them that are near and do not tell. What their answer's words say by chance inside
  the part as well is left out.
- Where all of a document is read, they come from another one of its file, and are about something
  that this one does not name: reports of two companies ask for the same things.

It knows nothing of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from sharedcli.answer.attribution import words_alone
from sharedcli.answer.verdict import NOT_STATED
from sharedcli.retrieve.lexical import query_terms
from sharedcli.training.token_files import TokenisedDocument, TokenisedQuestion

UNNAMED = 0.34
"""Share of a foreign question's words that the text must not hold."""

_TRIES = 16


def draw_absent(
    rng: Random,
    document: TokenisedDocument,
    part: tuple[int, int],
    text: str,
    others: Sequence[TokenisedDocument],
) -> TokenisedQuestion | None:
    """A question that ``text`` does not answer, with ``NOT_STATED`` as its reply.

    Args:
        rng: what to draw with.
        document: what is read.
        part: the tokens of it that are.
        text: all that is read, with what stands around that part.
        others: documents of the same kind.

    Returns:
        None where none was found.
    """
    begin, end = part
    outside = [q for q in document.questions if q.start >= 0 and not begin <= q.start < end]
    words = words_alone(text)
    for _ in range(_TRIES):
        if outside:
            drawn = rng.choice(outside)
        else:
            other = rng.choice(others)
            if other is document or not other.questions:
                continue
            drawn = rng.choice(other.questions)
            if _unnamed(drawn.question, words) < UNNAMED:
                continue
        if not any(words_alone(answer) in words for answer in drawn.answers):
            return replace(drawn, start=-1, end=-1, reply=NOT_STATED)
    return None


def _unnamed(question: str, words: str) -> float:
    """Share of a question's words that are not among ``words``; 0 for one without words."""
    terms = query_terms(question)
    return sum(words_alone(term) not in words for term in terms) / max(1, len(terms))
