"""What an answer is held against: the words of its question, and the passages read for it.

Where passages do not answer a question, a small decoder still takes a figure or a name of theirs
that fits: asked for the auditor, it names the chairman. Then the words of the question do not stand
where it took it from. How many of them do tells more than how sure the decoder is
(``docs/reference/evaluation.md``), and needs no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sharedcli.answer.attribution import specifics, unscaled
from sharedcli.store.ngrams import with_ngrams

REACH = 160
"""Characters before and behind a figure or name in which words of the question count: two lines."""

_PLACES = 20  # of one figure or name in a passage, at most
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Grounds:
    """A question and what was shown with it.

    Attributes:
        question: as typed.
        absent: share of its words that the documents hold nowhere.
        weights: of each of its words, the rarer in the documents the more.
        passages: texts of the prompt.
    """

    question: str
    absent: float
    weights: Mapping[str, float]
    passages: Sequence[str]

    def nearness(self, said: str) -> float | None:
        """Return the share of the question's words that stand near what ``said`` adds to it.

        Words count by weight, at the best place of each figure or name: the mean of these, 0 for
        one that stands in no passage as a whole. None where ``said`` adds none.
        """
        added = specifics(said, self.question)
        if not added or not self.weights:
            return None
        texts = [passage.casefold() for passage in self.passages]
        best = [
            max((self._around(text, one.casefold()) for text in texts), default=0.0)
            for one in added
        ]
        return sum(best) / len(best)

    def _around(self, text: str, one: str) -> float:
        # a table tells once, above its columns, that its figures are millions
        bare, scale = unscaled(one)
        places = list(_places(text, one)) or list(_places(text, bare) if scale else ())
        return max((self._share(text, place) for place in places), default=0.0)

    def _share(self, text: str, place: re.Match[str]) -> float:
        beside = text[max(0, place.start() - REACH) : place.end() + REACH]
        words = _WORD.findall(with_ngrams(beside))
        found = sum(
            weight
            for term, weight in self.weights.items()
            if any(word.startswith(_stem(term)) for word in words)
        )
        return found / sum(self.weights.values())


def _places(text: str, one: str) -> Iterator[re.Match[str]]:
    parts = r"\W+".join(map(re.escape, _WORD.findall(one)))
    return islice(re.finditer(rf"(?<!\w){parts}(?!\w)", text), _PLACES)


def _stem(term: str) -> str:
    """A word's beginning, without an ending of two letters: "audited" stands for "audit"."""
    return term.casefold()[: max(4, len(term) - 2)]
