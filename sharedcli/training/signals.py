"""Ctrl-C and SIGTERM: training stops at once, with the last whole step on disk.

A signal raises ``InterruptedTraining`` wherever the program is, except inside ``critical`` blocks
(an optimiser step, a checkpoint being written), which are finished first. A second signal while
the checkpoint is written does not spoil it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sharedcli.errors import SharedCLIError


class InterruptedTraining(SharedCLIError):
    """The user or the system asked training to end; it can be resumed."""

    exit_code = 130


class Interruption:
    """Handlers for the length of a ``with`` block; outside the main thread it does nothing."""

    def __init__(self) -> None:
        self._held = 0
        self._pending = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
            return
        raise InterruptedTraining("training was interrupted; the same command goes on")

    @contextmanager
    def critical(self) -> Iterator[None]:
        """Hold signals back until the end of the block."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._pending and not self._held:
            self._pending = False
            raise InterruptedTraining("training was interrupted")
