"""Time between marks: device events on a CUDA GPU, the wall clock elsewhere, and CPU seconds."""

from __future__ import annotations

import os
import time
from typing import Any

import torch


class Clock:
    """Marks moments; ``seconds`` tells what lies between them.

    On a GPU a mark is an event in the stream of work, so that neither the Python side's lead over
    the device nor a wait of the host distorts it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[Any] = []
        self._cpu: list[float] = []

    def mark(self) -> None:
        """Remember this moment."""
        self._cpu.append(cpu_seconds())
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._marks.append(event)
            return
        if self._device.type == "mps":
            torch.mps.synchronize()
        self._marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Seconds from each mark to the next."""
        pairs = list(zip(self._marks, self._marks[1:], strict=False))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return [first.elapsed_time(second) / 1000 for first, second in pairs]
        return [second - first for first, second in pairs]

    @property
    def cpu(self) -> float:
        """CPU seconds of all threads, and of finished child processes, from first mark to last."""
        return self._cpu[-1] - self._cpu[0]


def cpu_seconds() -> float:
    """CPU seconds of this process and of its finished children so far."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system
