"""Folders are followed: documents whose files are gone are told of, or removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sharedcli.engine.events import IndexEvent
from sharedcli.engine.syncing import missing
from sharedcli.ingest.discover import STDIN, FoundFile
from sharedcli.ingest.presence import is_gone, lies_in
from sharedcli.store.store import Store


def follow(
    store: Store,
    paths: Sequence[str],
    files: Sequence[FoundFile],
    known: Sequence[str],
    *,
    prune: bool,
) -> Iterator[IndexEvent]:
    """Tell of documents whose files are gone from the folders, and remove them if asked to.

    Args:
        store: changed if ``prune``.
        paths: that were named.
        files: that were found there.
        known: sources among them that were in the store before.
        prune: whether to remove.
    """
    folders = [path for path in paths if path != STDIN and Path(path).is_dir()]
    for failure in store.failures() if folders else ():
        if any(lies_in(failure.source, f) for f in folders) and is_gone(failure.source):
            store.clear_failure(failure.source)
    for folder, lost in missing(store, paths, files):
        if not prune:
            for record in lost:
                yield IndexEvent("missing", record.source, record=record)
        elif not any(lies_in(source, folder) for source in known):
            # an unmounted disk looks just like this, and another folder of this name
            yield IndexEvent(
                "failed",
                folder,
                reason=f"{folder} holds none of the {len(lost)} documents that were indexed "
                "from it; nothing was removed: bring its disk back, or use `sharedcli rm`",
            )
        else:
            store.remove([record.id for record in lost])
            for record in lost:
                yield IndexEvent("removed", record.source, record=record)
