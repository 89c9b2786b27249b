"""A limit on what a store may take on the disk, checked before every write, never after.

What counts is every file in the store's directory, those of SQLite's log included. Only the writer,
who has the lock, adds to them, so they are counted once for each document. Before a blob is written
its bytes are known; what the catalogue will grow by is reckoned from above, and measured once more
before the commit, from the pages that the transaction has taken. Where the limit would be exceeded
the writer stops, and what it has written is removed: the store is as it was.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sharedcli.errors import SharedCLIError
from sharedcli.store import rows, sweeping
from sharedcli.store.catalogue import CATALOGUE, Catalogue, catalogue_bytes

SLACK = 256 << 10
"""Bytes kept free for pages of SQLite that are written besides those that are counted."""

_TEXT_FACTOR = 2  # packed text and its full-text index, per byte of text, at most
_LOG_COPIES = 2  # a page that is written is in the log and, after the checkpoint, in the database


class Quota:
    """The limit for one writer.

    Args:
        store: directory of the store.
        limit: bytes; None for no limit.
    """

    def __init__(self, store: Path, limit: int | None) -> None:
        self._store = store
        self._limit = limit
        self._blob_bytes = 0
        self._pages_before = 0
        self._row_bytes = 0

    def begin(self, catalogue: Catalogue, text: str) -> None:
        """Note the catalogue's size before the transaction, and refuse what cannot fit at all."""
        if self._limit is None:
            return
        self._pages_before = _pages(catalogue)
        self._row_bytes = _TEXT_FACTOR * len(text.encode("utf-8", "surrogatepass"))
        self._blob_bytes = used(self._store) - catalogue_bytes(self._store)
        if self._needed(catalogue) > self._limit // 2:  # room is worth more than slow readers
            freed = sweeping.remove_retired(self._store, catalogue, grace_s=0)
            self._blob_bytes -= freed.bytes
        self.admit(catalogue)

    def replaces(self, connection: sqlite3.Connection, entry: rows.Entry) -> None:
        """Reckon with the rows of a document that goes: they are overwritten, through the log."""
        if self._limit is not None and entry.record is not None:
            blobs = sum(size for _, size in rows.segments(connection, entry))
            self._row_bytes += _TEXT_FACTOR * max(0, entry.record.stored_bytes - blobs)

    def admit(self, catalogue: Catalogue, *, blob: int = 0, rows: int = 0) -> None:
        """Make sure that a blob and rows of so many bytes fit beside what is written so far.

        What is admitted counts as written from then on.

        Raises:
            SharedCLIError: they do not.
        """
        if self._limit is None:
            return
        self._row_bytes += rows
        self._blob_bytes += blob
        if (needed := self._needed(catalogue)) > self._limit:
            raise SharedCLIError(
                f"the store {self._store} may take {self._limit:,} bytes (--quota) and would need "
                f"{needed:,}; nothing was changed: remove documents with `sharedcli rm`, run "
                "`sharedcli gc`, or allow more"
            )

    def _needed(self, catalogue: Catalogue) -> int:
        page = int(catalogue.connection.execute("PRAGMA page_size").fetchone()[0])
        grown = max(0, _pages(catalogue) - self._pages_before) * page
        written = max(grown, self._row_bytes * 5 // 4)
        taken = self._blob_bytes + catalogue_bytes(self._store)
        return taken + _LOG_COPIES * written + SLACK


def used(store: Path) -> int:
    """Return the bytes of all files in the store's directory."""
    total = 0
    folders = [store]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif entry.name != f"{CATALOGUE}-shm":  # an index of the log, in memory
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue  # removed meanwhile
    return total


def _pages(catalogue: Catalogue) -> int:
    return int(catalogue.connection.execute("PRAGMA page_count").fetchone()[0])
