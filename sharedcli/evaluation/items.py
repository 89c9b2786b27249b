"""``Item``: one question with its document and references, whatever format it came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sharedcli.evaluation.choices import listed, said_letter
from sharedcli.evaluation.metrics import bamboo, infinitebench, leval, longbench, overlap, words

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
        name: what the set itself calls the item; "" if nothing.
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
    name: str = ""

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
        return {
            name.partition(":")[0]: round(SCORES[name](self, prediction), 6) for name in self.scores
        }


def _choice(item: Item, prediction: str) -> float:
    return float(said_letter(prediction, item.options) in item.answers)


def _classes(item: Item, prediction: str) -> float:
    line = longbench.first_line(prediction)
    return max(
        (longbench.class_match(line, one, item.classes) for one in item.answers), default=0.0
    )


def _best(score: words.Score, item: Item, prediction: str) -> float:
    return words.best_of(score, prediction, item.answers)


def _best_of_line(score: words.Score, item: Item, prediction: str) -> float:
    return words.best_of(score, longbench.first_line(prediction), item.answers)


_PLAIN: dict[str, words.Score] = {
    "f1": words.f1,
    "exact_match": words.exact_match,
    "contains": words.contained,
    "rouge_l": overlap.rouge_l,
    "rouge_1": overlap.rouge_1,
    "rouge_2": overlap.rouge_2,
    "rouge_l:longbench": overlap.rouge_l_union,
    "edit_similarity:longbench": longbench.code_similarity,
    "accuracy:number_share": longbench.number_share,
    "exact_match:leval": leval.exact,
    "exact_match:letters": leval.letters,
    "exact_match:several_letters": leval.several_letters,
    "exact_match:arithmetic": leval.arithmetic,
    "exact_match:code_output": leval.code_output,
    "exact_match:truths": leval.truths,
    "rouge_l:infinitebench": overlap.rouge_l_sum,
    "f1:characters": infinitebench.character_f1,
    "accuracy:first_number": infinitebench.first_number,
    "accuracy:first_value": infinitebench.first_value,
    "accuracy:last_number": infinitebench.last_number,
    "accuracy:number_prefix": infinitebench.number_prefix,
    "accuracy:word": infinitebench.word,
    "accuracy:name": infinitebench.name,
    "accuracy:stripped": bamboo.stripped,
    "accuracy:first_line": bamboo.first_line,
}
SCORES: dict[str, Callable[[Item, str], float]] = {
    **{name: partial(_best, score) for name, score in _PLAIN.items()},
    CHOICE: _choice,
    "f1:first_line": partial(_best_of_line, words.f1),
    "rouge_l:first_line": partial(_best_of_line, overlap.rouge_l_union),
    "accuracy:classes": _classes,
}
"""Scores by name. What follows a colon says whose definition it is; reports leave it out."""

FREE: tuple[str, ...] = ("f1", "exact_match", "rouge_l")
"""Scores of a short free answer."""

LONG: tuple[str, ...] = ("rouge_l", "f1")
"""Scores of a long free answer."""


def texts(value: Any) -> tuple[str, ...] | None:
    """Return references as texts, however they are nested; None if they are no texts.

    Taken are a text, a number, a truth value, lists of them, and SQuAD's objects with a field
    ``text``. Empty and missing ones are left out.
    """
    found: list[str] = []
    if not _collect(value, found):
        return None
    return tuple(dict.fromkeys(found))


def _collect(value: Any, found: list[str]) -> bool:
    if isinstance(value, dict):
        key = next((key for key in ("text", "answer", "answers", "value") if key in value), None)
        return key is not None and _collect(value[key], found)
    if isinstance(value, list):
        return all(_collect(one, found) for one in value)
    text = "" if value is None else str(value)
    if text.strip():
        found.append(text)
    return True
