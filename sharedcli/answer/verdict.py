"""The decoder's own verdict: what it was shown does not answer the question.

An adapter may be taught to say ``NOT_STATED`` there (``AdapterConfig.abstains``). How probable it
finds the first token of that, before it has said anything, tells more than whether that is the most
probable of all. So a verdict costs nothing beyond the reading of the prompt, and one threshold
decides; below it the token is forbidden, so that an answer is an answer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sharedcli.model.tokens import tokenize_text

NOT_STATED = "Not stated."
"""What a decoder is taught to say."""

THRESHOLD = 0.4
"""Least probability of that at which ``ask`` refuses; see ``docs/reference/evaluation.md``."""

UNNAMED, UNNAMED_THRESHOLD = 0.33, 0.2
"""Share of a question's words that the documents hold nowhere, and what is enough from it on."""

NEVER = 2.0
"""A threshold that no probability reaches."""


def threshold(absent: float) -> float:
    """From which probability on a question is refused; ``absent`` as in ``Support``."""
    return UNNAMED_THRESHOLD if absent >= UNNAMED else THRESHOLD


class Verdict:
    """Weighs the logits of an answer's first token.

    Args:
        tokenizer: the base's.
        threshold: probability from which nothing is said; ``NEVER`` to know it only.

    Attributes:
        unstated: how probable it was that the answer is not stated; None before.
    """

    def __init__(self, tokenizer: Any, threshold: float) -> None:
        self._token = int(tokenize_text(tokenizer, NOT_STATED)[0][0])
        self._threshold = threshold
        self.unstated: float | None = None

    def weigh(self, logits: Tensor) -> Tensor | None:
        """Logits [V] of the first token without the verdict's; None where it refuses."""
        self.unstated = float(logits.float().softmax(-1)[self._token])
        if self.unstated >= self._threshold:
            return None
        allowed = logits.clone()
        allowed[self._token] = -torch.inf
        return allowed
