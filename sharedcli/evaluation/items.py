"""``Item``: one question with its document and references, whatever format it came in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sharedcli.evaluation import metrics
from sharedcli.evaluation.choices import listed, said_letter

CHOICE = "accuracy"
"""The score of a multiple-choice question."""


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: unique in its file, and the same in every run.
        group: the document or passage it is about: questions of a group are not independent.
        context: the document's text; "" if ``path`` names a file.
        path: a file to read instead.
        question: what is asked.
        answers: references; the letter for multiple choice; none if unanswerable.
        options: without letters; () if it is no multiple choice.
        scores: names in ``SCORES`` that apply, the most telling first.
        classes: all labels of a classification.
        hint: how the answer should look, added to the question.
        max_tokens: of the answer; None for the settings' own.
        answerable: False if the document does not hold the answer.
        evidence: page numbers, from 0, and texts that hold the evidence, for files with pages.
        dataset: the set's name.
    """

    id: str
    group: str
    context: str
    question: str
    answers: tuple[str, ...]
    scores: tuple[str, ...]
    options: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    path: Path | None = None
    hint: str = ""
    max_tokens: int | None = None
    answerable: bool = True
    evidence: tuple[tuple[int, str], ...] = ()
    dataset: str = ""

    def asked(self) -> str:
        """The question with options and hint, as the model sees it."""
        parts = [self.question.strip()]
        if self.options:
            parts += [listed(self.options), "Answer with the letter of the right option."]
        elif self.hint:
            parts.append(self.hint)
        return "\n".join(part for part in parts if part)

    def score(self, prediction: str) -> dict[str, float]:
        """All scores of a prediction, by name."""
        return {name: round(SCORES[name](self, prediction), 6) for name in self.scores}


def _choice(item: Item, prediction: str) -> float:
    return float(said_letter(prediction, item.options) in item.answers)


def _first_line(item: Item, prediction: str) -> float:
    """LongBench cuts few-shot answers at the end of their first line."""
    line = prediction.lstrip("\n").split("\n")[0]
    return metrics.best_of(metrics.f1, line, item.answers)


def _classes(item: Item, prediction: str) -> float:
    line = prediction.lstrip("\n").split("\n")[0]
    return max((metrics.class_match(line, a, item.classes) for a in item.answers), default=0.0)


def _best(score: metrics.Score, item: Item, prediction: str) -> float:
    return metrics.best_of(score, prediction, item.answers)


_PLAIN: dict[str, metrics.Score] = {
    "f1": metrics.f1,
    "exact_match": metrics.exact_match,
    "rouge_l": metrics.rouge_l,
    "edit_similarity": metrics.edit_similarity,
    "code_similarity": metrics.code_similarity,
    "character_f1": metrics.character_f1,
    "contains": metrics.contained,
    "first_number": metrics.first_number,
    "last_number": metrics.last_number,
    "number_share": metrics.number_share,
    "number_prefix": metrics.number_prefix,
    "match": metrics.stripped_match,
    "first_line_match": metrics.first_line_match,
    "letters": metrics.letters,
    "truths": metrics.truths,
}
SCORES: dict[str, Callable[[Item, str], float]] = {
    **{name: partial(_best, score) for name, score in _PLAIN.items()},
    CHOICE: _choice,
    "first_line_f1": _first_line,
    "class_match": _classes,
}
FREE: tuple[str, ...] = ("f1", "exact_match", "rouge_l")
"""Scores of a short free answer."""

LONG: tuple[str, ...] = ("rouge_l", "f1")
"""Scores of a long free answer."""


def texts(value: Any) -> tuple[str, ...] | None:
    """Return a string, number, truth value or list of them as texts; None if it is neither."""
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    if any(isinstance(one, (dict, list)) or one is None for one in values):
        return None
    return tuple(str(one) for one in values)
