"""LongBench's own scores (``LongBench/metrics.py`` of its repository)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_NUMBER = re.compile(r"\d+")
_PARAGRAPH = re.compile(r"Paragraph (\d+)")
_NO_CODE = ("`", "#", "//")


def first_line(prediction: str) -> str:
    """What its script takes of few-shot answers (triviaqa, trec, samsum)."""
    return prediction.lstrip("\n").split("\n")[0]


def number_share(prediction: str, reference: str) -> float:
    """Counting and passage retrieval: the share of the prediction's numbers that are right."""
    match = _PARAGRAPH.search(reference)
    wanted = match[1] if match else reference.strip()
    numbers = _NUMBER.findall(prediction)
    return numbers.count(wanted) / len(numbers) if numbers else 0.0


def code_similarity(prediction: str, reference: str) -> float:
    """Edit similarity of the first line that is no comment, in whole percents.

    That of ``fuzzywuzzy`` as LongBench installs it: without Levenshtein it asks ``difflib``.
    """
    lines = prediction.lstrip("\n").split("\n")
    code = next((line for line in lines if not any(mark in line for mark in _NO_CODE)), "")
    if code == reference:
        return 1.0
    if not code or not reference:
        return 0.0
    return round(100 * SequenceMatcher(None, code, reference).ratio()) / 100


def class_match(prediction: str, reference: str, classes: Sequence[str]) -> float:
    """1 / number of class names in the prediction, if ours is one of them.

    Names within ours do not count; the script, which takes them out while it walks over the list,
    misses one that follows another.
    """
    named = [name for name in classes if name in prediction]
    for name in named:
        if name in reference and name != reference:
            named.remove(name)
    return 1 / len(named) if reference in named else 0.0
