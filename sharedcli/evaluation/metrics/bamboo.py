"""BAMBOO's own scores (``evaluate.py`` of its repository)."""

from __future__ import annotations


def stripped(prediction: str, reference: str) -> float:
    """altqa: equal but for case, outer blanks and full stops."""
    return float(_bare(prediction) == _bare(reference))


def first_line(prediction: str, reference: str) -> float:
    """meetingpred and showspred: ``stripped`` of the prediction's first line."""
    return stripped(prediction.split("\n", maxsplit=1)[0], reference)


def _bare(text: str) -> str:
    return text.strip().strip(".").lower()
