"""The decoder's verdict: what it weighs, where it refuses, and what it forbids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sharedcli.answer.verdict import NEVER, NOT_STATED, Verdict, threshold
from sharedcli.model.tokens import tokenize_text


@pytest.mark.parametrize(
    ("probability", "threshold", "refuses"),
    [(0.6, 0.5, True), (0.4, 0.5, False), (0.999, NEVER, False)],
)
def test_it_refuses_from_its_threshold_and_forbids_its_token_below(
    probability: float, threshold: float, refuses: bool, tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    token = int(tokenize_text(tokenizer, NOT_STATED)[0][0])
    others = torch.full((20,), (1 - probability) / 19)
    others[token % 20] = probability
    logits = torch.full((len(tokenizer),), -torch.inf)
    places = [token if i == token % 20 else i + (i == token) * 20 for i in range(20)]
    logits[places] = others.log()
    verdict = Verdict(tokenizer, threshold)
    assert verdict.unstated is None
    allowed = verdict.weigh(logits)
    assert verdict.unstated == pytest.approx(probability, abs=1e-5)
    if refuses:
        assert allowed is None
        return
    assert allowed is not None
    assert allowed[token] == -torch.inf
    assert logits[token] > -torch.inf  # those that were given stay as they were
    rest = torch.arange(len(logits)) != token
    assert torch.equal(allowed[rest], logits[rest])


def test_less_is_enough_where_the_documents_lack_the_questions_words() -> None:
    assert threshold(0.0) == threshold(0.25) > threshold(1 / 3) == threshold(1.0) > 0
