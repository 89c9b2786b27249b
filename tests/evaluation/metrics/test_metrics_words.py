"""``metrics.words``: exact match and F1 against values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.evaluation.metrics import words


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Quick, brown FOX!", "quick brown fox"),
        ("a an the", ""),
        ("theatre anthem", "theatre anthem"),
        ("It's $3.50 (net)", "its 350 net"),
        ("An apple, a day", "apple day"),
    ],
)
def test_squad_normalisation(text: str, normal: str) -> None:
    assert words.normalise(text) == normal
    assert words.without_articles("The A (cat)") == "The A cat"


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("the cat sat", "a cat sat", 1.0),
        ("cat sat on mat", "cat sat", 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("cat cat", "cat", 2 * 0.5 * 1 / 1.5),
        ("dog", "cat", 0.0),
        ("", "", 1.0),
        ("", "cat", 0.0),
    ],
)
def test_f1(prediction: str, reference: str, score: float) -> None:
    assert words.f1(prediction, reference) == pytest.approx(score)


def test_exact_match_is_after_normalisation() -> None:
    assert words.exact_match("The Answer.", "answer") == 1
    assert words.exact_match("The Answers", "answer") == 0
    assert words.best_of(words.exact_match, "b", ["a", "B!"]) == 1
    assert words.best_of(words.exact_match, "b", []) == 0


def test_whole_words_are_contained() -> None:
    assert words.contained("It was Ann Lee.", "ann lee") == 1
    assert words.contained("It was Annabel", "ann") == 0
    assert words.contained("anything", "the") == 0


@given(st.text(max_size=30), st.text(max_size=30))
def test_f1_lies_between_0_and_1(first: str, second: str) -> None:
    assert 0 <= words.f1(first, second) <= 1
    assert words.f1(first, second) == words.f1(second, first)
