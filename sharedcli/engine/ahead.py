"""The next files are read and prepared while the one before them is compressed, in a thread.

A file is read in a worker process anyway, and tokenising leaves the interpreter free, so this costs
the compressor nothing but what the work itself takes. What is wrong with a file is raised when its
turn comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from sharedcli.ingest.document import Document
from sharedcli.ingest.reader import DocumentReader, OnPage

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Reads files in turn, the next ones in the background; a context manager.

    Args:
        dropped: told what was prepared for a turn that did not come.
    """

    def __init__(self, dropped: Callable[[T], None] = lambda _: None) -> None:
        self._dropped = dropped
        self._reader = DocumentReader()
        self._pool = ThreadPoolExecutor(1, "sharedcli-ahead")
        self._begun: deque[tuple[str | Path, int, Future[T]]] = deque()
        self._aside: Future[None] | None = None

    def __enter__(self) -> ReadAhead[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._reader.close()  # ends a read that is under way
        self._pool.shutdown()
        self._reader.close()  # one that had just begun has a worker of its own

    @property
    def begun(self) -> tuple[int, int]:
        """How many files were begun and not taken, and how large they are."""
        return len(self._begun), sum(size for _, size, _ in self._begun)

    def begin(self, path: str | Path, size: int, prepare: Callable[[Document], T]) -> None:
        """Read ``path`` and prepare it in the background, for a later call of ``read``."""
        future = self._pool.submit(lambda: prepare(self._reader.read(path)))
        self._begun.append((path, size, future))

    def aside(self, task: Callable[[], object]) -> None:
        """Run ``task`` in the background beside the next ``read``; what it raises is dropped."""
        self._aside = self._pool.submit(_quietly, task)

    def read(self, path: str | Path, on_page: OnPage) -> Document | T:
        """Return what was prepared ahead, or read ``path`` now.

        Raises:
            DocumentError: as ``DocumentReader.read``.
        """
        if any(begun == path for begun, _, _ in self._begun):
            while self._begun[0][0] != path:  # their turn did not come
                self._drop(self._begun.popleft()[2])
            return self._begun.popleft()[2].result()
        for _, _, future in self._begun:
            future.exception()  # the reader serves one at a time
        try:
            return self._reader.read(path, on_page=on_page)
        finally:
            if self._aside is not None:
                self._aside.result()
                self._aside = None

    def _drop(self, future: Future[T]) -> None:
        if future.exception() is None:
            self._dropped(future.result())


def _quietly(task: Callable[[], object]) -> None:
    try:
        task()
    except Exception:
        return
