"""Several threads that compute at the same time, with torch's own threads shared out among them.

Two products side by side, each with one thread, take less time than one after the other with two:
no thread waits for another at the end of every operation. The interpreter's lock is free while
torch computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")


class TorchThreads(ThreadPoolExecutor):
    """A pool of ``count`` threads; a context manager that drops what has not begun at its end."""

    def __init__(self, count: int) -> None:
        self._all = torch.get_num_threads()
        each = max(1, self._all // count)
        super().__init__(count, "sharedcli", initializer=torch.set_num_threads, initargs=(each,))

    def __exit__(self, *error: object) -> None:
        self.shutdown(cancel_futures=True)
        torch.set_num_threads(self._all)  # of threads that are started from now on


class Alone:
    """Instead of a pool, where there is nothing to do at the same time."""

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, run: Callable[[A], B], items: Iterable[A]) -> Iterable[B]:
        """The results of ``run`` in order."""
        return map(run, items)


def has_threads(device: torch.device) -> bool:
    """Whether ``threads_for`` has several to give."""
    return device.type == "cpu" and torch.get_num_threads() > 1


def threads_for(tasks: int, device: torch.device) -> TorchThreads | Alone:
    """What ``map`` runs ``tasks`` tasks on: as many threads as there are of torch, and use for."""
    count = min(tasks, torch.get_num_threads()) if has_threads(device) else 1
    return TorchThreads(count) if count > 1 else Alone()
