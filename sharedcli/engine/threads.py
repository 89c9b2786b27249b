"""Threads that compute while this one reads and writes; results come in the order of the tasks.

Notable choices:
- One thread of torch in each of several threads (``model/threads.py``), instead of several inside
  of one product.
- Few tasks of one run of results are under way at a time, so memory does not depend on how many
  there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

import torch

from sharedcli.model.threads import TorchThreads

_MOST_WORKERS = 16  # beyond, the interpreter's lock is what they wait for
_AHEAD = 2

T = TypeVar("T")


def worker_count(parallel: bool) -> int:
    """How many threads ``WorkerThreads`` runs tasks in."""
    return min(torch.get_num_threads(), _MOST_WORKERS) if parallel else 1


class WorkerThreads(TorchThreads):
    """A pool for one run; a context manager.

    Args:
        parallel: whether tasks may run at the same time; else they run one by one, beside the
            caller, with all of torch's threads.
    """

    def __init__(self, parallel: bool) -> None:
        self.count = worker_count(parallel)
        super().__init__(self.count)

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Results[T]:
        """The results of ``tasks`` in their order."""
        return Results(self, tasks, _AHEAD * self.count)


class Results(Iterator[T]):
    """Results in the order of their tasks; the first task that raises ends it.

    To be closed if it is left before its end: then nothing of it runs any more.

    Args:
        pool: runs the tasks.
        tasks: are taken as there is room for them.
        ahead: how many may be under way beside the one whose result is next.
    """

    def __init__(self, pool: Executor, tasks: Iterable[Callable[[], T]], ahead: int) -> None:
        self._pool = pool
        self._tasks = iter(tasks)
        self._ahead = ahead
        self._under_way: deque[Future[T]] = deque()

    def begin(self) -> None:
        """Have the first tasks run; the first result's taker need not."""
        while len(self._under_way) <= self._ahead:
            task = next(self._tasks, None)
            if task is None:
                return
            self._under_way.append(self._pool.submit(task))

    def __next__(self) -> T:
        self.begin()
        if not self._under_way:
            raise StopIteration
        try:
            result = self._under_way[0].result()
        except BaseException:
            self.close()
            raise
        self._under_way.popleft()
        return result

    def close(self) -> None:
        """Drop what has not begun, and wait for what has."""
        self._tasks = iter(())
        wait([future for future in self._under_way if not future.cancel()])
        self._under_way.clear()
