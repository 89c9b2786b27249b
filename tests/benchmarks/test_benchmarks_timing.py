"""Runs are taken in turn, warmed up, and one method's lack of memory is not another's."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sharedcli.benchmarks import timing
from sharedcli.benchmarks.clock import Clock, cpu_seconds
from sharedcli.benchmarks.sample import Sample
from sharedcli.benchmarks.timing import time_in_turn, turns

SAMPLE = Sample("", torch.arange(40), torch.arange(3), torch.arange(2))


class Fake:
    """A method that writes down what it is asked."""

    stored = False
    slots = 4

    def __init__(self, name: str, log: list[tuple[str, int, int]], fails_at: int = 0) -> None:
        self.name, self.log, self.fails_at = name, log, fails_at
        self.bench = type("Bench", (), {"device": torch.device("cpu")})()

    def read(self, sample: Sample) -> Any:
        if self.fails_at and sum(one[0] == self.name for one in self.log) >= self.fails_at - 1:
            raise MemoryError

        def answer(_prompt: Any, count: int) -> Iterator[int]:
            self.log.append((self.name, len(sample.tokens), count))
            yield from range(count)

        return answer


def test_every_round_begins_with_the_next_method() -> None:
    assert turns(["a", "b", "c"], 2) == [(0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "c"), (1, "a")]


def test_methods_are_warmed_up_and_then_run_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "WARM_TOKENS", 16)
    log: list[tuple[str, int, int]] = []
    methods: Any = {name: Fake(name, log) for name in "ab"}
    told: list[tuple[int, int, str]] = []
    found, failed = time_in_turn(methods, SAMPLE, 5, 2, lambda *now: told.append(now))
    warm = [("a", 16, timing.WARM_ANSWER), ("b", 16, timing.WARM_ANSWER)]
    assert log == [*warm, ("a", 40, 5), ("b", 40, 5), ("b", 40, 5), ("a", 40, 5)]
    assert [(one.method, one.round) for one in found] == [("a", 0), ("b", 0), ("b", 1), ("a", 1)]
    assert found[0].slots == 4
    assert not failed
    assert told[-1] == (3, 4, "a")


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_method_without_memory_is_left_out(fails_at: int) -> None:
    log: list[tuple[str, int, int]] = []
    methods: Any = {"a": Fake("a", log, fails_at), "b": Fake("b", log)}
    found, failed = time_in_turn(methods, SAMPLE, 5, 2)
    assert "not enough memory while running a" in failed["a"]
    assert [one.method for one in found] == ["b", "b"]


def test_a_clock_gives_what_lies_between_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, cpu = iter([5.0, 7.0, 7.5]), iter([1.0, 4.0, 4.25])
    ticking = SimpleNamespace(perf_counter=lambda: next(wall))
    monkeypatch.setattr("sharedcli.benchmarks.clock.time", ticking)
    monkeypatch.setattr("sharedcli.benchmarks.clock.cpu_seconds", lambda: next(cpu))
    clock = Clock(torch.device("cpu"))
    for _ in range(3):
        clock.mark()
    assert clock.seconds() == [2.0, 0.5]
    assert clock.cpu == 3.25


def test_cpu_seconds_grow_with_work() -> None:
    before = cpu_seconds()
    assert sum(range(1_000_000))
    assert cpu_seconds() > before
