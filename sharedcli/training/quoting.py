"""The passages that a training prompt quotes: found as a search finds them, and as it errs.

Notable choices:
- The text is cut as the product cuts it, and passages are ranked by the question's words alone, the
  rare ones counting more. So the wrong ones are those that a search confuses with the right one.
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
from sharedcli.retrieve.passages import PASSAGE_WORDS, split_text

FOUND = 0.8
"""Share of missed passages that are quoted after all."""


class Quotable:
    """A text's passages, ready to be searched."""

    def __init__(self, text: str) -> None:
        self._spans = split_text(text, PASSAGE_WORDS)
        self._terms = [set(query_terms(text[start:end])) for start, end in self._spans]
        self._holding = Counter(term for terms in self._terms for term in terms)

    def choose(
        self, rng: Random, question: str, place: int | None, count: int
    ) -> list[tuple[int, int]]:
        """Character spans of the best ``count`` passages for ``question``, best first.

        Args:
            rng: decides whether a missed passage is found after all.
            question: as it is asked.
            place: a character of the answer's evidence; None where it is the whole text.
            count: passages at most, 1 or more.
        """
        wanted = query_terms(question)
        order = sorted(range(len(self._spans)), key=lambda i: -self._score(wanted, i))
        chosen = order[:count]
        right = None if place is None else self._at(place)
        if right is not None and right not in chosen and rng.random() < FOUND:
            chosen[-1] = right
        return [self._spans[i] for i in chosen]

    def _score(self, wanted: Sequence[str], passage: int) -> float:
        """Summed rarity of the question's words that the passage holds."""
        held = self._terms[passage]
        total = len(self._spans)
        return sum(math.log(1 + total / self._holding[term]) for term in wanted if term in held)

    def _at(self, place: int) -> int | None:
        """The passage that holds a character; None between passages."""
        return next((i for i, (a, b) in enumerate(self._spans) if a <= place < b), None)
