"""The gate: what it looks at, and which way it errs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.retrieve.find import Found
from sharedcli.retrieve.gate import LARGEST, SMALL, THRESHOLD, Support, answerable, measure_support
from sharedcli.retrieve.rank import RankedPassage
from sharedcli.store.records import Passage, PassageHit


class _Index:
    """Words by document."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = {doc: set(text.split()) for doc, text in words.items()}

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        raise AssertionError("the gate searches nothing itself")

    def count_text(self, match: str) -> Mapping[str, int]:
        word = match.strip('"')
        return {doc: 1 for doc, words in self._words.items() if word in words}

    def read_passages(self, doc_ids: object) -> Iterator[tuple[str, Sequence[Passage], object]]:
        raise AssertionError("the gate reads no passages itself")


def _hit(cosine: float | None) -> RankedPassage:
    return RankedPassage("a", Passage(0, 1, 0, 1), 0.5, cosine=cosine)


def test_what_is_measured() -> None:
    index = _Index({"a": "keeper oil", "b": "whale"})
    question = "How much oil did the keeper and the whale burn?"
    found = measure_support(index, question, ["a"], Found([_hit(0.2), _hit(0.6), _hit(None)], 10))  # type: ignore[arg-type]
    assert (found.cosine, found.passages, found.compared) == (0.6, 10, 2)
    assert found.absent == pytest.approx(2 / 4)  # "whale" and "burn"
    assert list(found.weights) == ["oil", "keeper", "whale", "burn"]
    assert found.weights["oil"] == pytest.approx(math.log(11 / 1.5))  # in one of ten passages
    assert found.weights["whale"] == pytest.approx(math.log(11 / 0.5))
    everywhere = measure_support(index, question, ["a"], Found([], 1))  # type: ignore[arg-type]
    assert everywhere.weights["oil"] > 0
    both = measure_support(index, question, ["a", "b"], Found([_hit(0.6)], 20))  # type: ignore[arg-type]
    assert both.absent < found.absent
    assert both.passages == 20


def test_far_questions_are_refused_and_near_ones_are_not() -> None:
    assert answerable(Support(0.05, 0.8, 100, 100)) < THRESHOLD
    assert answerable(Support(0.7, 0.0, 100, 100)) > THRESHOLD


def test_it_stays_open_where_it_knows_too_little() -> None:
    assert answerable(Support(None, 1.0, 100, 0)) == 1
    assert answerable(Support(-0.1, 1.0, SMALL, SMALL)) == 1
    index = _Index({"a": "keeper"})
    about = measure_support(index, "What is the report about?", ["a"], Found([_hit(0.0)], 10))  # type: ignore[arg-type]
    assert answerable(about) == 1
    many = Support(0.3, 0.5, 10**6, 200)
    assert answerable(many) == answerable(Support(0.3, 0.5, LARGEST, LARGEST))


def test_a_near_passage_counts_more_where_few_were_compared() -> None:
    def chance(compared: int) -> float:
        return answerable(Support(0.4, 0.2, 100, compared))

    assert chance(100) == chance(200)
    assert chance(100) < chance(16) < chance(1)
    few = Support(0.4, 0.2, 40, 40)
    assert chance(16) == pytest.approx(answerable(few))  # 40 is the geometric mean of 16 and 100


@given(
    st.floats(-1, 1),
    st.floats(0, 1),
    st.integers(SMALL + 1, 10**6),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_more_support_never_lowers_the_probability(
    cosine: float, absent: float, passages: int, closer: float, found: float
) -> None:
    before = answerable(Support(cosine, absent, passages, passages))
    after = answerable(Support(min(1, cosine + closer), absent * found, passages, passages))
    assert 0 <= before <= after <= 1


@pytest.mark.parametrize(
    ("support", "chance"),
    [
        (Support(0.30, 0.25, 100, 100), 0.2056),
        (Support(0.32, 0.25, 100, 100), 0.2309),
        (Support(0.60, 0.00, 10, 10), 0.9335),
        (Support(0.20, 1.00, 40, 16), 0.0866),
        (Support(0.40, 0.50, 500, 500), 0.2510),
    ],
)
def test_the_weights_and_the_threshold_are_the_fitted_ones(support: Support, chance: float) -> None:
    assert answerable(support) == pytest.approx(chance, abs=0.002)
    assert (THRESHOLD, LARGEST, SMALL) == (0.215, 120, 3)
