"""The decoder's own verdict: what it was shown does not answer the question.

Four things tell:
- how probable the decoder finds it, before it has said anything, that the answer is ``NOT_STATED``,
  which an adapter may be taught to say (``AdapterConfig.abstains``);
- how sure it is of its least sure word: a name or a figure that it makes up is one among many;
- the share of the question's words that the documents hold nowhere;
- whether the question's words stand where the answer's figures and names do (``grounds``).

The weights are those of a logistic regression on 82 questions that were answered right and 61
that the documents do not answer; ``docs/reference/evaluation.md`` says which, and what it is worth.
A verdict costs no pass of the model, but the first sentence is held back until it is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sharedcli.answer.grounds import Grounds
from sharedcli.answer.sentence import first_sentence
from sharedcli.model.tokens import tokenize_text

NOT_STATED = "Not stated."
"""What a decoder is taught to say."""

UNSTATED, LEAST, ABSENT, NEAR, UNNAMED, BIAS = -0.4, 1.0, -1.7, 4.3, 3.6, -2.4
"""Weights of the log odds of ``NOT_STATED`` and of the least sure word, of the absent words and of
the near ones; ``UNNAMED`` is in place of these where an answer holds neither figure nor name."""

THRESHOLD = 0.35
"""Least probability that the answer is stated; below it ``ask`` refuses."""

CLIP = 0.05
"""The least sure word counts as no less sure, and no surer than 1 less this."""


class Verdict:
    """Weighs the logits of an answer's tokens.

    Args:
        tokenizer: the base's.
        tells: whether the decoder was taught to tell.

    Attributes:
        unstated: how probable it was that the answer is not stated; None before the first token,
            or where the decoder was not taught to tell.
        confidence: probability of the likeliest token where that was least; None before the first.
        nearness: as in ``Grounds``, of the first sentence; None before it is there, or without any.
    """

    def __init__(self, tokenizer: Any, tells: bool) -> None:
        self._token = int(tokenize_text(tokenizer, NOT_STATED)[0][0]) if tells else None
        self.unstated: float | None = None
        self.confidence: float | None = None
        self.nearness: float | None = None

    def weigh(self, logits: Tensor) -> Tensor:
        """Logits [V] of the next token; of the first one without the verdict's, which it is not."""
        if self.confidence is None and self._token is not None:
            self.unstated = float(logits.float().softmax(-1)[self._token])
            logits = logits.clone()
            logits[self._token] = -torch.inf
        sure = float(logits.float().softmax(-1).max())
        self.confidence = sure if self.confidence is None else min(sure, self.confidence)
        return logits

    def told(self) -> dict[str, float]:
        """What is known by now, by name, to four digits."""
        known = {
            "unstated": self.unstated,
            "confidence": self.confidence,
            "nearness": self.nearness,
        }
        return {name: round(value, 4) for name, value in known.items() if value is not None}

    def doubtful(self, grounds: Grounds, said: str) -> bool:
        """Whether what was said so far is to be refused."""
        if self.unstated is None:
            return False
        self.nearness = grounds.nearness(said)
        confidence = self.confidence or 0.0
        return stated(self.unstated, confidence, grounds.absent, self.nearness) < THRESHOLD


def stated(unstated: float, confidence: float, absent: float, nearness: float | None) -> float:
    """Probability that what was shown states the answer, were it so with 3 of 5 questions.

    Args:
        unstated, confidence, nearness: as in ``Verdict``.
        absent: share of the question's words that the documents hold nowhere.
    """
    sure = min(max(confidence, CLIP), 1 - CLIP)
    near = UNNAMED if nearness is None else NEAR * nearness
    logit = UNSTATED * _log_odds(unstated) + LEAST * _log_odds(sure) + ABSENT * absent + near + BIAS
    return 1 / (1 + math.exp(-logit))


def when_sure(
    pieces: Iterator[str], verdict: Verdict, grounds: Grounds, refuse: Callable[[], None]
) -> Iterator[str]:
    """Yield ``pieces``, the first sentence when it is not ``doubtful``; else ``refuse``."""
    held = next(pieces, "")
    if verdict.unstated is not None:
        held = first_sentence(pieces, held)
    if verdict.doubtful(grounds, held):
        refuse()
        return
    if held:
        yield held
    yield from pieces


def _log_odds(probability: float) -> float:
    inside = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(inside / (1 - inside))
