"""Removing files that no document needs: left-overs of killed writers, and replaced blobs.

Notable choices:
- A writer leaves a mark (``tmp/writing``) while it is at work. Only where a mark was left behind
  must the blob directory be searched; a folder of many small files stays cheap to index.
- Replaced blobs are kept for ten minutes, because a reader may hold their names.
- Only files whose names have the store's own form are ever removed.

All functions need the writer's lock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sharedcli.store import durable
from sharedcli.store.blobs import TEMPORARY, BlobFiles
from sharedcli.store.catalogue import Catalogue
from sharedcli.store.digests import is_sha256
from sharedcli.store.records import GcReport

GRACE_S = 600.0
_MARK = "writing"


def begin(store: Path) -> None:
    """Leave the mark of a writer at work."""
    mark = store / TEMPORARY / _MARK
    with durable.translated(mark):
        durable.disk.make_directory(mark.parent)
        if not mark.exists():
            os.close(durable.disk.create(mark))


def end(store: Path) -> None:
    """Take the mark away: no left-overs remain."""
    durable.remove_file(store / TEMPORARY / _MARK)


def recover(store: Path, catalogue: Catalogue) -> None:
    """Clean up after a killed writer, if there was one, and drop long replaced blobs."""
    if (store / TEMPORARY / _MARK).exists():
        remove_unused(store, catalogue)
        end(store)
    remove_retired(store, catalogue, GRACE_S)


def unused(store: Path, catalogue: Catalogue) -> list[Path]:
    """Return files that neither a document nor the retired list names."""
    blobs = BlobFiles(store)
    with catalogue.reading() as connection:
        named = {
            row[0]
            for row in connection.execute(
                "SELECT blob FROM segments UNION SELECT blob FROM retired"
            )
        }
    return [*blobs.parts(), *(path for sha256, path in blobs.all() if sha256 not in named)]


def remove_unused(store: Path, catalogue: Catalogue) -> GcReport:
    """Remove what ``unused`` finds."""
    freed = [durable.remove_file(path) for path in unused(store, catalogue)]
    return GcReport(len(freed), sum(freed))


def remove_retired(store: Path, catalogue: Catalogue, grace_s: float) -> GcReport:
    """Remove blobs that were retired more than ``grace_s`` seconds ago."""
    blobs = BlobFiles(store)
    with catalogue.reading() as connection:
        # A clock that was set back must not keep blobs for ever: the future counts as long ago.
        now = time.time()
        expired = [
            row[0]
            for row in connection.execute(
                "SELECT blob FROM retired WHERE since <= ? OR since > ?", (now - grace_s, now + 1)
            )
        ]
    if not expired:
        return GcReport(0, 0)
    freed = [size for blob in expired if is_sha256(blob) and (size := blobs.remove(blob))]
    with catalogue.writing() as connection:
        connection.executemany("DELETE FROM retired WHERE blob = ?", ((b,) for b in expired))
    return GcReport(len(freed), sum(freed))
