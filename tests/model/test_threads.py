"""Threads share torch's threads, keep order, and give everything back at their end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from sharedcli.model.threads import Alone, TorchThreads, has_threads, threads_for

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("tasks", "each"), [(2, 2), (3, 1), (4, 1), (9, 1)])
def test_torchs_threads_are_shared_out(tasks: int, each: int) -> None:
    started = threading.Barrier(min(tasks, 4))  # passes only if as many run at once

    def run(_task: int) -> tuple[int, int]:
        started.wait(timeout=10)
        return torch.get_num_threads(), threading.get_ident()

    with threads_for(tasks, CPU) as threads:
        found = list(threads.map(run, range(min(tasks, 4))))
    assert {count for count, _ in found} == {each}
    assert threading.get_ident() not in {ident for _, ident in found}
    assert torch.get_num_threads() == 4
    later: list[int] = []
    one = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    one.start()
    one.join()
    assert later == [4]


def test_one_task_one_thread_or_another_device_run_in_the_callers_own() -> None:
    def places() -> set[int]:
        return set(threads.map(lambda _task: threading.get_ident(), range(3)))

    for tasks, device in ((1, CPU), (3, torch.device("meta"))):
        with threads_for(tasks, device) as threads:
            assert isinstance(threads, Alone)
            assert places() == {threading.get_ident()}
    torch.set_num_threads(1)
    assert not has_threads(CPU)
    with threads_for(3, CPU) as threads:
        assert places() == {threading.get_ident()}


def test_an_error_comes_out_and_what_has_not_begun_is_dropped() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def run(number: int) -> None:
        begun.append(number)
        gate.wait(timeout=10)

    with pytest.raises(ValueError, match="wrong"), TorchThreads(2) as threads:
        futures = [threads.submit(run, number) for number in range(50)]
        threading.Timer(0.2, gate.set).start()  # while the pool is being shut down
        raise ValueError("wrong")
    assert len(begun) <= 2
    assert sum(future.cancelled() for future in futures) >= 48
    assert torch.get_num_threads() == 4


def test_what_a_task_raises_is_raised_by_map() -> None:
    with pytest.raises(ZeroDivisionError), threads_for(3, CPU) as threads:
        list(threads.map(lambda number: 1 // number, range(3)))
