"""Changes to a store as a whole: removing documents, collecting garbage, noting failures.

Every function but ``stats`` needs the writer's lock and opens its own writing connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sharedcli.errors import SharedCLIError
from sharedcli.store import durable, fulltext, ledger, library, rows, sweeping
from sharedcli.store.blobs import BlobFiles
from sharedcli.store.catalogue import Catalogue, catalogue_bytes, guarded
from sharedcli.store.fulltext_check import search_index_is_sound
from sharedcli.store.records import GcReport, StoreStats


@contextmanager
def _writable(store: Path) -> Iterator[Catalogue]:
    catalogue = Catalogue(store, write=True)
    try:
        with durable.translated(catalogue.path):
            yield catalogue
        with suppress(SharedCLIError):
            catalogue.checkpoint()
    finally:
        catalogue.close()


def remove(store: Path, doc_ids: Sequence[str]) -> list[str]:
    """Forget documents and remove their blobs at once: the user wants them gone."""
    with _writable(store) as catalogue:
        with catalogue.writing() as connection:
            gone = [e for id_ in dict.fromkeys(doc_ids) for e in _by_id(connection, id_)]
            library.retire(connection, library.forget(connection, gone))
            fulltext.settle(connection)
        sweeping.remove_retired(store, catalogue, grace_s=0)
    return [entry.id for entry in gone]


def relocate(store: Path, doc_id: str, changes: dict[str, Any]) -> None:
    """Change a document's source, path, file size or time; one that was at that source goes."""
    with _writable(store) as catalogue, catalogue.writing() as connection:
        entry = rows.entry(connection, doc_id)
        assert entry.record is not None
        if "source" in changes:
            there = library.entries_from(
                connection, changes["source"], entry.record.document_sha256
            )
            others = [other for other in there if other.key != entry.key]
            library.retire(connection, library.forget(connection, others))
        library.update(connection, entry, **changes)


def touch(store: Path, files: Mapping[str, tuple[int, int]]) -> None:
    """Note new sizes and times of files whose content is the same, in one transaction."""
    with _writable(store) as catalogue, catalogue.writing() as connection:
        for doc_id, (size, mtime_ns) in files.items():
            for entry in _by_id(connection, doc_id):
                if entry.record is not None:  # what is damaged or gone by now has no file to note
                    library.update(connection, entry, file_size=size, mtime_ns=mtime_ns)


def note_failure(store: Path, source: str, reason: str | None) -> None:
    """Note why a file could not be indexed, or with None forget it."""
    with _writable(store) as catalogue, catalogue.writing() as connection:
        if reason is None:
            library.drop_failure(connection, source)
        else:
            library.put_failure(connection, source, reason)


def _by_id(connection: sqlite3.Connection, doc_id: str) -> list[rows.Entry]:
    return rows.entries_where(connection, "id = ?", doc_id)


def collect(store: Path) -> GcReport:
    """Remove every file that no document needs, and mend what needs no document's file.

    Documents whose record is damaged are dropped: nothing of them can be used or told apart.
    """
    with _writable(store) as catalogue:
        catalogue.checkpoint()
        before = catalogue_bytes(store)
        with catalogue.writing() as connection:
            lost = [entry for entry in rows.entries(connection) if entry.record is None]
            library.retire(connection, library.forget(connection, lost))
            if rebuild := not search_index_is_sound(connection):
                library.rebuild_search(connection)
            fulltext.settle(connection)
            connection.execute(
                "DELETE FROM identities WHERE digest NOT IN (SELECT identity FROM documents)"
            )
            library.drop_unreadable_failures(connection)
            ledger.seal(connection)
        retired = sweeping.remove_retired(store, catalogue, grace_s=0)
        unused = sweeping.remove_unused(store, catalogue)
        sweeping.end(store)
        with guarded(catalogue.path):
            catalogue.connection.execute("PRAGMA incremental_vacuum").fetchall()
        catalogue.checkpoint()
        freed = max(0, before - catalogue_bytes(store))
    return GcReport(
        files=retired.files + unused.files,
        bytes=retired.bytes + unused.bytes + freed,
        rebuilt_search_index=rebuild,
        dropped=tuple(entry.source for entry in lost),
    )


def stats(store: Path, catalogue: Catalogue) -> StoreStats:
    """Add up what is stored."""
    with catalogue.reading() as connection:
        totals = connection.execute(
            "SELECT count(*), total(pages), total(tokens), total(chunks) FROM documents"
        ).fetchone()
        failed = connection.execute("SELECT count(*) FROM failed").fetchone()[0]
        blobs = {row[0] for row in connection.execute("SELECT blob FROM segments")}
    sizes: dict[str, int] = {}
    for sha256, path in BlobFiles(store).all():
        with suppress(FileNotFoundError):  # a writer may remove one meanwhile
            sizes[sha256] = path.stat().st_size
    used = {sha256: size for sha256, size in sizes.items() if sha256 in blobs}
    return StoreStats(
        documents=totals[0],
        pages=int(totals[1]),
        tokens=int(totals[2]),
        chunks=int(totals[3]),
        failed=failed,
        blobs=len(used),
        blob_bytes=sum(used.values()),
        catalogue_bytes=catalogue_bytes(store),
        unused_bytes=sum(sizes.values()) - sum(used.values()),
    )
