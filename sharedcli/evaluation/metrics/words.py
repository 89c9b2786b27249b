"""Exact match and F1 over normalised words (Rajpurkar et al., arXiv 1606.05250)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Score = Callable[[str, str], float]


def best_of(score: Score, prediction: str, references: Sequence[str]) -> float:
    """Return the best score over the references; 0 if there are none."""
    return max((score(prediction, reference) for reference in references), default=0.0)


def normalise(text: str) -> str:
    """SQuAD's normalisation: lower case, no punctuation, no articles, single spaces.

    LongBench, L-Eval and InfiniteBench use the same.
    """
    return without_articles(text.lower())


def without_articles(text: str) -> str:
    """``normalise`` in the text's own case."""
    return " ".join(_ARTICLES.sub(" ", text.translate(_PUNCTUATION)).split())


def exact_match(prediction: str, reference: str) -> float:
    """1 if both are equal after ``normalise``."""
    return float(normalise(prediction) == normalise(reference))


def f1(prediction: str, reference: str) -> float:
    """F-measure over the bags of normalised words; 1 if both have none (as in SQuAD 2)."""
    said, wanted = normalise(prediction).split(), normalise(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    return bag_f1(said, wanted)


def bag_f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    """F-measure over two bags."""
    shared = sum((Counter(said) & Counter(wanted)).values())
    return f_measure(shared, len(said), len(wanted))


def f_measure(shared: float, said: int, wanted: int) -> float:
    """Harmonic mean of ``shared / said`` and ``shared / wanted``; 0 where nothing is shared."""
    return 2 * shared / (said + wanted) if shared else 0.0


def contained(prediction: str, reference: str) -> float:
    """1 if the normalised reference stands in the normalised prediction as whole words."""
    wanted = normalise(reference)
    return float(bool(wanted) and f" {wanted} " in f" {normalise(prediction)} ")
