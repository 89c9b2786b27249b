"""``metrics.overlap``: three definitions of ROUGE-L against the packages that define them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.evaluation.metrics import overlap

_KEEPER = (
    "The keeper lit the lamp. He wrote a line. The sea was calm.",
    "The keeper wrote a line. The lamp was lit. The sea was the sea.",
)
_LINES = ("a b c d e\nf g a", "a c e g\nb d f a a")
_SALES = (
    "Net sales rose by 5 percent, to $3.2 billion.",
    "Net sales were $3.2 billion, a rise of 5 percent.",
)


@pytest.mark.parametrize(
    ("pair", "union", "longest", "ones", "twos", "lines"),
    [  # made with rouge 1.0.1 and rouge_score 0.1.2
        (_KEEPER, 0.818182, 0.592593, 0.814815, 0.64, 0.592593),
        (_LINES, 0.571429, 0.588235, 0.941176, 0.0, 0.823529),
        (_SALES, 0.47619, 0.47619, 0.666667, 0.421053, 0.47619),
    ],
)
def test_rouge_is_that_of_the_packages(  # noqa: PLR0917
    pair: tuple[str, str], union: float, longest: float, ones: float, twos: float, lines: float
) -> None:
    assert overlap.rouge_l_union(*pair) == pytest.approx(union, abs=1e-6)
    assert overlap.rouge_l(*pair) == pytest.approx(longest, abs=1e-6)
    assert overlap.rouge_1(*pair) == pytest.approx(ones, abs=1e-6)
    assert overlap.rouge_2(*pair) == pytest.approx(twos, abs=1e-6)
    assert overlap.rouge_l_sum(*pair) == pytest.approx(lines, abs=1e-6)


def test_rouge_l_of_lins_example() -> None:
    # Lin (2004), section 3.1: S2 and S3 against S1, beta = 1
    reference = "police killed the gunman"
    assert overlap.rouge_l("police kill the gunman", reference) == pytest.approx(0.75)
    assert overlap.rouge_l("the gunman kill police", reference) == pytest.approx(0.5)


def test_nothing_shares_nothing() -> None:
    scores = (overlap.rouge_l, overlap.rouge_1, overlap.rouge_2, overlap.rouge_l_sum)
    for score in (*scores, overlap.rouge_l_union):
        assert score("", "a word or two") == score("a word or two", "") == 0
        assert score("same words here", "same words here") == 1


@given(st.text("abcd", max_size=24), st.text("abcd", max_size=24))
def test_longest_common_subsequence(first: str, second: str) -> None:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            same = table[i][j] + 1
            table[i + 1][j + 1] = same if a == b else max(table[i][j + 1], table[i + 1][j])
    assert overlap.common_subsequence(first, second) == table[-1][-1]
