"""Records survive a kill, keep setups apart, and lead to the same result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from sharedcli.errors import CorruptionError, NoStoreError, UsageError
from sharedcli.evaluation.comparing import compare_runs
from sharedcli.evaluation.experiment import default_folder, run_experiment
from sharedcli.evaluation.methods.contract import UnfitError
from sharedcli.evaluation.records import FILE, RecordFile, read_records
from sharedcli.evaluation.tasks.contract import Case, Outcome, Task

SETUP = {"task": "count", "seed": 0}


class Counting(Task):
    """Scores that are known, and a count of what was measured."""

    name: ClassVar[str] = "count"

    def __init__(self, killed_at: int | None = None, gain: float = 0.0) -> None:
        self.measured: list[tuple[str, str]] = []
        self._killed_at = killed_at
        self._gain = gain

    @property
    def ways(self) -> Sequence[str]:
        return ["a", "b"]

    def cases(self) -> Sequence[Case]:
        return [Case(f"i{n}", "", {}, n) for n in range(5)]

    def measure(self, case: Case, way: str) -> Outcome:
        if len(self.measured) == self._killed_at:
            raise KeyboardInterrupt
        self.measured.append((way, case.id))
        if (way, case.payload) == ("b", 3):
            raise UnfitError("too long")
        return Outcome({"score": case.payload / 10 + (self._gain if way == "a" else 0.0)})


def test_a_killed_run_goes_on_and_ends_alike(tmp_path: Path) -> None:
    whole, _ = run_experiment(Counting(), SETUP, None, tmp_path / "whole")
    killed = Counting(killed_at=4)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(killed, SETUP, None, tmp_path / "killed")
    with (tmp_path / "killed" / FILE).open("a") as file:
        file.write('{"method": "a", "item": "i2", "gro')  # a line that the kill cut short
    resumed = Counting()
    result, files = run_experiment(resumed, SETUP, None, tmp_path / "killed")
    assert len(resumed.measured) == 10 - 4
    assert not set(resumed.measured) & set(killed.measured)
    assert [row.scores for row in result.rows] == [row.scores for row in whole.rows]
    assert {path.name for path in files} == {"result.json", "report.md"}
    again = Counting()
    run_experiment(again, SETUP, None, tmp_path / "killed")
    assert again.measured == []
    run_experiment(again, SETUP, None, tmp_path / "killed", fresh=True)
    assert len(again.measured) == 10


def test_skipped_items_are_counted_and_not_scored(tmp_path: Path) -> None:
    result, files = run_experiment(Counting(), SETUP, None, tmp_path)
    first, second = result.rows
    assert (first.items, first.skipped) == (5, 0)
    assert (second.items, second.skipped, second.reason) == (4, 1, "too long")
    assert second.scores["score"].mean == pytest.approx((0 + 1 + 2 + 4) / 40)
    assert result.comparisons[0].difference.items == 4
    report = next(path for path in files if path.name == "report.md").read_text()
    assert "b: 1 skipped (too long)" in report


def test_a_folder_belongs_to_one_setup(tmp_path: Path) -> None:
    run_experiment(Counting(), SETUP, None, tmp_path)
    with pytest.raises(UsageError, match=r"another setup \(seed\)"):
        run_experiment(Counting(), {**SETUP, "seed": 1}, None, tmp_path)
    assert default_folder(SETUP) == default_folder(dict(SETUP))
    assert default_folder(SETUP) != default_folder({**SETUP, "seed": 1})


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        RecordFile(tmp_path, SETUP),
        pytest.raises(UsageError, match="another run is writing"),
        RecordFile(tmp_path, SETUP),
    ):
        pass


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError, match="holds no records"):
        read_records(tmp_path)
    (tmp_path / FILE).write_text('{"surprise": 1}\n')
    with pytest.raises(CorruptionError, match="line 1: not a record"):
        read_records(tmp_path)


def test_two_runs_compare_by_item(tmp_path: Path) -> None:
    run_experiment(Counting(), SETUP, None, tmp_path / "one")
    run_experiment(Counting(gain=0.1), {**SETUP, "seed": 1}, None, tmp_path / "two")
    found, differing = compare_runs(tmp_path / "one", tmp_path / "two")
    assert [round(one.difference.mean, 6) for one in found] == [0.1, 0.0]
    assert differing == {"seed": [0, 1]}
    crossed, _ = compare_runs(tmp_path / "one", tmp_path / "two", ["b", "a"])
    assert crossed[0].difference.items == 4
    with pytest.raises(UsageError, match="share no method"):
        compare_runs(tmp_path / "one", tmp_path / "two", ["c"])
