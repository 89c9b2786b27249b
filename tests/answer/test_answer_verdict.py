"""The decoder's verdict: what it weighs and forbids, what counts, and what is held back for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch

from sharedcli.answer.grounds import Grounds
from sharedcli.answer.sentence import HELD
from sharedcli.answer.verdict import NOT_STATED, THRESHOLD, Verdict, stated, when_sure
from sharedcli.model.tokens import tokenize_text

Weighed = Callable[..., Verdict]


@pytest.fixture
def tokenizer(tiny_base: Callable[..., Any]) -> Any:
    return tiny_base().tokenizer


@pytest.fixture
def weighed(tokenizer: Any) -> Weighed:
    """A verdict that has seen an answer's first token, and what it found."""

    def make(unstated: float, confidence: float = 0.9) -> Verdict:
        verdict = Verdict(tokenizer, tells=True)
        verdict.unstated, verdict.confidence = unstated, confidence
        return verdict

    return make


HERE = Grounds("Who keeps it?", 0.0, {"keeps": 1.0}, ["Ann keeps 3.6 of the U.S. crowns. Bob is."])
"""An answer of Ann stands beside the question's word, one of Bob stands there too, of Eve none."""

AWAY = Grounds("Who keeps it?", 0.5, {"keeps": 1.0}, ["Bob is here."])
"""Half of the question's words stand nowhere."""


def logits_of(tokenizer: Any, probabilities: dict[int, float]) -> torch.Tensor:
    logits = torch.full((len(tokenizer),), -torch.inf)
    for token, probability in probabilities.items():
        logits[token] = torch.tensor(probability).log()
    return logits


def test_its_token_is_forbidden_as_an_answers_first_and_least_confidence_counts(
    tokenizer: Any,
) -> None:
    verdict = Verdict(tokenizer, tells=True)
    assert (verdict.unstated, verdict.confidence, verdict.told()) == (None, None, {})
    token = int(tokenize_text(tokenizer, NOT_STATED)[0][0])
    one, two = (token + step for step in (-1, -2))
    first = logits_of(tokenizer, {token: 0.5, one: 0.4, two: 0.1})
    allowed = verdict.weigh(first)
    assert first[token] > -torch.inf  # those that were given stay as they were
    assert allowed[token] == -torch.inf
    assert torch.equal(allowed[[one, two]], first[[one, two]])
    assert verdict.told() == {"unstated": 0.5, "confidence": 0.8}
    later = logits_of(tokenizer, {token: 0.6, one: 0.4})
    assert torch.equal(verdict.weigh(later), later)
    assert verdict.told() == {"unstated": 0.5, "confidence": 0.6}
    verdict.weigh(logits_of(tokenizer, {one: 1.0}))
    assert verdict.told() == {"unstated": 0.5, "confidence": 0.6}


def test_a_decoder_that_was_not_taught_to_tell_doubts_nothing(tokenizer: Any) -> None:
    verdict = Verdict(tokenizer, tells=False)
    token = int(tokenize_text(tokenizer, NOT_STATED)[0][0])
    logits = logits_of(tokenizer, {token: 0.9, token - 1: 0.1})
    assert torch.equal(verdict.weigh(logits), logits)
    assert verdict.told() == {"confidence": 0.9}
    assert not verdict.doubtful(AWAY, "He is Bob.")
    assert read(verdict, ["It", " is.", " So"]) == (["It", " is.", " So"], 1, 0)


def test_each_of_the_four_counts() -> None:
    rising = [0.01, 0.1, 0.3, 0.6, 0.9]
    for low, high in pairwise(rising):
        assert stated(low, 0.5, 0.0, 0.5) > stated(high, 0.5, 0.0, 0.5)
        assert stated(0.1, low, 0.0, 0.5) < stated(0.1, high, 0.0, 0.5)
        assert stated(0.1, 0.5, low, 0.5) > stated(0.1, 0.5, high, 0.5)
        assert stated(0.1, 0.5, 0.0, low) < stated(0.1, 0.5, 0.0, high)
    assert 0 < stated(1.0, 0.0, 1.0, 0.0) < stated(0.0, 1.0, 0.0, 1.0) < 1
    # an answer without a figure or a name is between the extremes
    assert stated(0.1, 0.5, 0.0, 0.0) < stated(0.1, 0.5, 0.0, None) < stated(0.1, 0.5, 0.0, 1.0)


def test_what_is_doubtful(weighed: Weighed) -> None:
    seen = weighed(0.1)
    assert not seen.doubtful(HERE, "It is Ann.")
    assert seen.nearness == 1.0
    assert weighed(0.1, confidence=0.5).doubtful(AWAY, "It is Bob.")
    assert weighed(0.1, confidence=0.2).doubtful(HERE, "It is Eve.")
    assert not weighed(0.1, confidence=0.2).doubtful(HERE, "It is so.")
    assert weighed(0.5, confidence=0.05).doubtful(HERE, "It is so.")


def read(verdict: Verdict, pieces: list[str]) -> tuple[list[str], int, int]:
    """What comes of ``pieces``, how many were taken for the first of it, and refusals."""
    taken = refusals = 0

    def come() -> Iterator[str]:
        nonlocal taken
        for piece in pieces:
            taken += 1
            yield piece

    def refuse() -> None:
        nonlocal refusals
        refusals += 1

    answer = when_sure(come(), verdict, HERE, refuse)
    first = next(answer, None)
    before = taken
    return [*([first] if first else []), *answer], before, refusals


@pytest.mark.parametrize(
    ("pieces", "expected", "taken"),
    [
        (["It", " costs", " 3.6", " crowns."], ["It costs 3.6 crowns."], 4),
        (["It rose.", " So", " it did."], ["It rose. So", " it did."], 2),
        (["In 1912.", " So", " it was."], ["In 1912. So", " it was."], 2),
        (["Mr.", " Weeks of", " U.S.", " Inc.", " is."], ["Mr. Weeks of U.S. Inc. is."], 5),
        (["A\n", "B"], ["A\n", "B"], 1),
        (["word " * 20] * 5, ["word " * 80, "word " * 20], HELD // 100),
        ([], [], 0),
    ],
)
def test_what_is_open_waits_for_its_first_sentence(
    pieces: list[str], expected: list[str], taken: int, weighed: Weighed
) -> None:
    assert read(weighed(0.1), pieces) == (expected, taken, 0)


def test_what_is_doubtful_is_refused_and_goes_no_further(weighed: Weighed) -> None:
    verdict = weighed(0.3, confidence=0.05)
    assert read(verdict, ["He is", " Eve.\n", "And so on."]) == ([], 2, 1)
    assert verdict.told()["nearness"] == 0.0
    assert read(weighed(0.9, confidence=0.1), []) == ([], 0, 1)


@pytest.mark.parametrize(
    ("seen", "chance"),
    [
        ((0.5, 0.5, 0.0, 0.5), 0.438),
        ((0.1, 0.5, 0.0, 0.5), 0.652),
        ((0.5, 0.9, 0.0, 0.5), 0.875),
        ((0.5, 0.5, 0.2, 0.5), 0.357),
        ((0.5, 0.5, 0.0, 0.9), 0.813),
        ((0.5, 0.5, 0.0, None), 0.769),
    ],
)
def test_the_weights_and_the_threshold_are_the_fitted_ones(
    seen: tuple[float, float, float, float | None], chance: float
) -> None:
    assert stated(*seen) == pytest.approx(chance, abs=0.002)
    assert THRESHOLD == 0.35
