"""Intervals that hold what they should, and pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.evaluation.statistics import RESAMPLES, bootstrap, paired


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_mean_lies_within_its_bounds_and_those_within_the_values(values: list[float]) -> None:
    found = bootstrap(values)
    assert found.low is not None
    assert found.high is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.mean == pytest.approx(float(np.mean(values)))
    assert bootstrap(values) == found


def test_one_item_has_no_spread() -> None:
    assert bootstrap([0.5]).bounds is None
    assert bootstrap([0.5, 0.7, 0.6], groups=["a", "a", "a"]).bounds is None
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


def test_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(size=400)
    found = bootstrap(values.tolist())
    assert found.low is not None
    assert found.high is not None
    expected = 2 * 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_items_of_one_document_count_as_one_draw() -> None:
    values = [0.0] * 20 + [1.0] * 20
    alone = bootstrap(values)
    grouped = bootstrap(values, groups=["a"] * 20 + ["b"] * 20)
    assert alone.low is not None
    assert grouped.low == 0
    assert alone.low > 0.3


def test_questions_of_one_document_are_drawn_together_in_pairs_too() -> None:
    gaps = {f"{d}/{q}": -0.1 if d == "a" else 0.02 for d in "abcde" for q in range(20)}
    zero = dict.fromkeys(gaps, 0.0)
    alone = paired(zero, gaps)
    together = paired(zero, gaps, groups={item: item[0] for item in gaps})
    assert alone.difference.mean == pytest.approx(together.difference.mean)
    assert together.difference.low < alone.difference.low  # type: ignore[operator]
    assert paired(zero, gaps, groups=dict.fromkeys(gaps, "a")).p is None


def test_pairs_cancel_what_is_hard_for_both() -> None:
    first = {str(n): n / 10 for n in range(10)}
    second = {name: value + 0.01 for name, value in first.items()} | {"other": 9.0}
    found = paired(first, second)
    assert found.difference.mean == pytest.approx(0.01)
    assert (found.wins, found.losses, found.ties, found.difference.items) == (10, 0, 0, 10)
    assert found.p == pytest.approx(2 / RESAMPLES)
    assert paired(first, first).p == 1
    with pytest.raises(ValueError, match="no item"):
        paired(first, {"other": 1.0})
