"""One writer at a time: an advisory lock on ``STORE/lock``, freed by the system if its holder dies.

Readers never take it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sharedcli.errors import StoreLockedError
from sharedcli.store import durable

LOCK = "lock"


class WriterLock:
    """The writer's lock of one store; may be taken again by the thread that holds it."""

    def __init__(self, store: Path, timeout: float) -> None:
        self._store = store
        self._timeout = timeout
        self._lock = FileLock(store / LOCK, mode=durable.PRIVATE_FILE)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the block. ``StoreLockedError`` after the timeout (seconds)."""
        with durable.translated(self._store / LOCK):
            try:
                self._lock.acquire(timeout=self._timeout, poll_interval=0.02)
            except Timeout as error:  # an OSError too, so it must be caught first
                raise StoreLockedError(
                    f"another process is writing to the store {self._store} (waited "
                    f"{self._timeout:g} s); wait until it has finished and run the same command "
                    "again"
                ) from error
        try:
            yield
        finally:
            self._lock.release()
