"""Is there evidence for an answer at all? The gate of ``ask``: below it, "not in the documents".

Notable choices:
- Three things tell: how close the closest window of any passage is to the question (cosine), the
  share of the question's words that the documents hold nowhere, and how many passages were
  searched (among many, one is close by chance). Fused scores do not tell: they compare within one
  question only.
- Where vectors were made for the best full-text hits alone, fewer could be close by chance, yet
  not as few as that: they were chosen among all. The geometric mean of both counts refuses as
  many questions as all vectors do (``docs/concepts/retrieval.md``).
- Weights are those of a logistic regression on training questions, each asked of its own document
  and of others; the threshold lets 2 in 100 answerable training questions fall below it. Figures
  are in ``docs/reference/evaluation.md``.
- It errs towards answering: a refusal of what is there costs more than a needless answer with its
  pages to check.
- It stays open where it knows too little: without sentence vectors (words alone separate nothing),
  for questions about a document as a whole ("What is the plot?"), and over so few passages that the
  prompt shows them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sharedcli.retrieve.find import Found, PassageIndex
from sharedcli.retrieve.lexical import query_terms
from sharedcli.retrieve.naming import MAX_WORDS
from sharedcli.store.fulltext import quote_term

COSINE, ABSENT, PASSAGES, BIAS = 7.42, -1.48, -0.63, -0.30
"""Weights of the best cosine, the share of absent words, and the log of passages + 1."""

THRESHOLD = 0.215
"""Least probability of an answer; below it ``ask`` refuses."""

LARGEST = 120
"""Passages that the training questions were searched in at most; more count as so many."""

_WHOLE_TEXT = """
document documents report reports paper text story book file files article summary summarise
summarize overview contents outline topic topics plot gist
"""
WHOLE = frozenset(_WHOLE_TEXT.split())
"""Words of questions about a document as a whole: no passage is close to them, and they have an
answer all the same."""

LEAST_WEIGHT = 0.05
"""Of a word that every passage holds, such as the name of the company."""

SMALL = 3
"""Passages that a prompt shows anyway: over no more, nothing is refused."""


@dataclass(frozen=True)
class Support:
    """What speaks for an answer being there.

    Attributes:
        cosine: of the closest window of any passage; None without vectors.
        absent: share of the question's words that no searched passage holds.
        passages: passages that were searched.
        compared: of these, those of the ranked ones that were compared by their vectors.
        whole: the question is about a document as a whole.
        weights: of each of the question's words: the log of how rare it is among the passages.
    """

    cosine: float | None
    absent: float
    passages: int
    compared: int
    whole: bool = False
    weights: Mapping[str, float] = field(default_factory=dict)


def measure_support(
    index: PassageIndex, question: str, doc_ids: Sequence[str], found: Found
) -> Support:
    """Look what the documents hold for a question.

    Args:
        index: the store.
        question: what was searched for.
        doc_ids: the documents that were searched.
        found: what was found in them.
    """
    cosines = [hit.cosine for hit in found.ranked if hit.cosine is not None]
    terms = query_terms(question)[:MAX_WORDS]
    chosen = set(doc_ids)
    held = {
        term: sum(n for doc, n in index.count_text(quote_term(term)).items() if doc in chosen)
        for term in terms
    }
    absent = sum(not count for count in held.values()) / max(1, len(terms))
    weights = {
        term: max(LEAST_WEIGHT, math.log((found.searched + 1) / (count + 0.5)))
        for term, count in held.items()
    }
    return Support(
        cosine=max(cosines, default=None),
        absent=absent,
        passages=found.searched,
        compared=len(cosines),
        whole=not WHOLE.isdisjoint(terms),
        weights=weights,
    )


def answerable(support: Support) -> float:
    """Return the probability that the documents answer the question; 1 where nothing can be said.

    It is calibrated on training questions, half of which had an answer; ``THRESHOLD`` decides.
    """
    if support.cosine is None or support.whole or support.passages <= SMALL:
        return 1.0
    searched = min(support.passages, LARGEST)
    compared = min(support.compared, searched)
    logit = (
        COSINE * support.cosine
        + ABSENT * support.absent
        + PASSAGES * math.log(math.sqrt(searched * compared) + 1)
        + BIAS
    )
    return 1 / (1 + math.exp(-logit))
