"""The passages that a training prompt quotes: found as a search finds them, and as it errs.

Notable choices:
- The text is cut as the product cuts it, and passages are ranked by the question's words alone, the
  rare ones counting more. So the wrong ones are those that a search confuses with the right one.
- Windows are ranked by words as well, where the product has vectors.
- Where the answer's own passage is not among the best, it mostly takes the last one's place: a
  search with sentence vectors misses fewer than words do. The rest teaches to answer from slots.

It knows nothing of tokens.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from random import Random

from sharedcli.retrieve.lexical import query_terms
from sharedcli.retrieve.passages import PASSAGE_WORDS, Span, cut_windows, split_text

FOUND = 0.8
"""Share of missed passages that are quoted after all."""

WINDOWS_QUOTED = 2
"""Windows for each passage, of the three that one has at most."""


class Quotable:
    """A text's passages, ready to be searched."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans = split_text(text, PASSAGE_WORDS)
        self._terms = [self._words(span) for span in self._spans]
        self._holding = Counter(term for terms in self._terms for term in terms)

    def choose(self, rng: Random, question: str, place: int | None, count: int) -> list[Span]:
        """Character spans of the best ``count`` passages for ``question``, best first.

        Args:
            rng: decides whether a passage that is missed is found after all.
            question: as it is asked.
            place: a character of the answer's evidence; None where it is the whole text.
            count: passages at most, 1 or more.
        """
        wanted = query_terms(question)
        order = sorted(range(len(self._spans)), key=lambda i: -self._score(wanted, self._terms[i]))
        chosen = [self._spans[i] for i in order[:count]]
        return _with_place(self._spans, chosen, place) if rng.random() < FOUND else chosen

    def choose_windows(
        self, rng: Random, question: str, place: int | None, count: int
    ) -> list[Span]:
        """Character spans of the best windows of what ``choose`` gives, ``WINDOWS_QUOTED`` each.

        The best one comes first, whichever passage it is of. The answer's own is among them if its
        passage is.
        """
        wanted = query_terms(question)
        windows = [
            (start + first, start + last)
            for start, end in self.choose(rng, question, place, count)
            for first, last in cut_windows(self._text[start:end])
        ]
        order = sorted(windows, key=lambda span: -self._score(wanted, self._words(span)))
        return _with_place(windows, order[: WINDOWS_QUOTED * count], place)

    def _words(self, span: Span) -> set[str]:
        return set(query_terms(self._text[slice(*span)]))

    def _score(self, wanted: Sequence[str], held: set[str]) -> float:
        """Summed rarity of the question's words that are among ``held``."""
        total = len(self._spans)
        return sum(math.log(1 + total / self._holding[term]) for term in wanted if term in held)


def _with_place(every: Sequence[Span], chosen: list[Span], place: int | None) -> list[Span]:
    """``chosen``, the last one replaced by the one of ``every`` that holds ``place`` if need be."""
    right = None if place is None else next((s for s in every if s[0] <= place < s[1]), None)
    return chosen if right is None or right in chosen else [*chosen[:-1], right]
