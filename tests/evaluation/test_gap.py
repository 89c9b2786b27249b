"""``gap``: the share of the gap that injection closes, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from sharedcli.evaluation.gap import find_gaps, find_harm, references
from sharedcli.evaluation.records import Record
from sharedcli.evaluation.report import compare_records
from sharedcli.evaluation.statistics import recovered


def _records(method: str, losses: list[float], where: int = 4096) -> list[Record]:
    return [
        Record(method, f"{where}/{n}", "", {"context": where}, {"loss": loss})
        for n, loss in enumerate(losses)
    ]


def test_the_gap_is_that_of_the_adapted_decoder() -> None:
    records = [
        *_records("none", [9, 9, 9]),
        *_records("none@adapted", [4, 5, 6]),
        *_records("full@adapted", [2, 3, 4]),
        *_records("sharedllm", [3, 4.5, 4.5]),
        *_records("sharedllm", [1.0], 8192),  # full attention does not reach that far
    ]
    records += _records("none@adapted", [1.5], 8192)
    gap, further = find_gaps(records, ["none", "sharedllm"], 0)
    assert (further.none, further.full, further.closed) == (1.5, None, None)
    assert further.to_plain()["gain"] == 0.5
    assert (gap.none, gap.loss, gap.full, gap.items) == (5, 4, 3, 3)
    assert gap.closed is not None
    assert gap.closed.mean == pytest.approx(0.5)
    assert gap.closed.low is not None
    assert gap.closed.low <= 0.5 <= (gap.closed.high or 0)
    assert gap.to_plain()["gap_closed"] == 0.5
    assert gap.gain.mean == 1
    harm = find_harm(records, 0)
    assert harm is not None
    assert harm.mean == -4


def test_without_an_adapter_the_plain_base_is_the_measure() -> None:
    records = [*_records("none", [4]), *_records("full", [2]), *_records("sharedllm", [3])]
    (gap,) = find_gaps(records, ["sharedllm"], 0)
    assert gap.closed is not None
    assert (gap.closed.mean, gap.closed.bounds) == (0.5, None)
    assert find_harm(records, 0) is None


def test_no_gap_closes_nothing() -> None:
    assert recovered([(2.0, 1.0, 3.0)]) is None
    unsure = recovered([(2.0, 1.0, 1.0), (1.0, 1.0, 1.9)])
    assert unsure is not None
    assert unsure.bounds is None


def test_references_are_measured_where_they_are_needed() -> None:
    asked = ["none", "full", "sharedllm@r8"]
    assert references(asked, trained=True) == ["none@adapted", "full@adapted"]
    assert references([*asked, "full@adapted"], trained=True) == ["none@adapted"]
    assert references(["none", "streaming"], trained=True) == []
    assert references(asked, trained=False) == []


def test_a_lower_loss_wins() -> None:
    found = compare_records("a", _records("a", [2, 2]), "b", _records("b", [1, 2]))
    assert found is not None
    assert (found.wins, found.losses, found.ties) == (1, 0, 1)
