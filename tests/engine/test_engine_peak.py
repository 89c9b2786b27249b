"""Peak memory: read from the system, remembered, and foretold for the next run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_samples import LAMP, run_index

from sharedcli.engine.engine import Engine
from sharedcli.engine.peak import peak_bytes
from sharedcli.engine.planning import MEMORY_PER_TOKEN, estimate
from sharedcli.engine.remembered import Rates
from sharedcli.settings import Settings


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell")
def test_the_peak_grows_with_what_is_taken_and_stays() -> None:
    before = peak_bytes()
    assert before is not None
    taken = bytearray(before + (64 << 20))  # more than the peak so far, whatever that was
    taken[:: 1 << 12] = b"x" * len(taken[:: 1 << 12])
    size = len(taken)
    del taken
    after = peak_bytes()
    assert after is not None
    assert after > size


def test_memory_is_the_last_runs_and_what_a_longer_document_adds() -> None:
    rates = Rates(100.0, 50.0, 4.0, peak_bytes=1e9, longest=10_000)
    assert estimate(4 * 10_000, rates).memory == 1_000_000_000
    assert estimate(4 * 100, rates).memory == 1_000_000_000
    longer = estimate(4 * 1_010_000, rates).memory
    assert longer == 1_000_000_000 + MEMORY_PER_TOKEN * 1_000_000
    assert estimate(400, Rates(100.0, 50.0, 4.0)).memory is None
    assert estimate(400, None).memory is None


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell")
def test_a_dry_run_tells_the_memory_of_the_largest_document(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    for name, times in (("a.txt", 5), ("b.txt", 400)):
        (tmp_path / name).write_text(LAMP * times)
    with Engine(settings_for()) as engine:
        run_index(engine, tmp_path / "a.txt")
        events = list(engine.plan([str(tmp_path)]))
    (planned,) = [event for event in events if event.kind == "planned"]
    assert planned.estimate is not None
    done = events[-1].estimate
    assert done is not None
    assert planned.estimate.memory == done.memory
    assert done.memory is not None
    measured = peak_bytes()
    assert measured is not None
    assert done.memory <= measured + MEMORY_PER_TOKEN * planned.estimate.tokens
