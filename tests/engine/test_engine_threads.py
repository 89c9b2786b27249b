"""Worker threads: results in order, few under way, errors and ends that leave nothing running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from sharedcli.engine.threads import WorkerThreads


def test_results_come_in_order_whoever_is_ready_first() -> None:
    def late(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number

    with WorkerThreads(parallel=True) as threads:
        assert list(threads.ordered(partial(late, n) for n in range(9))) == list(range(9))


def test_few_tasks_are_under_way() -> None:
    begun: list[int] = []

    def tasks() -> Iterator[partial[int]]:
        for number in range(100):
            begun.append(number)
            yield partial(int, number)

    with WorkerThreads(parallel=True) as threads:
        results = threads.ordered(tasks())
        next(results)
        assert len(begun) <= 2 * threads.count + 1
        results.close()


def test_the_first_tasks_may_begin_before_a_result_is_taken() -> None:
    ran = threading.Event()
    with WorkerThreads(parallel=True) as threads:
        results = threads.ordered([ran.set])
        assert not ran.wait(0.05)
        results.begin()
        assert ran.wait(5)
        assert list(results) == [None]


def test_the_first_error_ends_it_and_the_rest_is_dropped() -> None:
    ran: list[int] = []

    def task(number: int) -> int:
        ran.append(number)
        if number == 1:
            raise MemoryError
        return number

    with WorkerThreads(parallel=False) as threads:
        results = threads.ordered(partial(task, n) for n in range(50))
        assert next(results) == 0
        with pytest.raises(MemoryError):
            list(results)
        assert len(ran) < 10
        assert list(threads.ordered([partial(int, 7)])) == [7]


def test_torchs_threads_are_shared_out_and_given_back() -> None:
    before = torch.get_num_threads()
    for parallel in (True, False):
        with WorkerThreads(parallel) as threads:
            (each,) = threads.ordered([torch.get_num_threads])
            assert threads.count * each <= before
            assert parallel or each == before
        assert torch.get_num_threads() == before
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == before


def test_what_is_left_before_its_end_and_closed_late_does_not_hang() -> None:
    gate = threading.Event()
    with WorkerThreads(parallel=False) as threads:
        results = threads.ordered(partial(gate.wait, 0.01) for _ in range(50))
        next(results)
    results.close()
