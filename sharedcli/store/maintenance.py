"""Changes to a store as a whole: removing documents, collecting garbage, noting failures.

Every function but ``stats`` needs the writer's lock and opens its own writing connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sharedcli.errors import SharedCLIError
from sharedcli.store import durable, library, rows, sweeping
from sharedcli.store.blobs import BlobFiles
from sharedcli.store.catalogue import CATALOGUE, Catalogue, guarded
from sharedcli.store.checking import search_index_is_sound
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
            gone = [entry for entry in rows.entries(connection) if entry.id in set(doc_ids)]
            sealed = rows.library_is_sealed(connection)
            library.retire(connection, library.forget(connection, gone))
            if sealed or any(entry.record is None for entry in gone):
                rows.seal_library(connection)
        sweeping.remove_retired(store, catalogue, grace_s=0)
    return [entry.id for entry in gone]


def relocate(store: Path, doc_id: str, changes: dict[str, Any]) -> None:
    """Change a document's source, file size or time; one that was at that source goes."""
    with _writable(store) as catalogue, catalogue.writing() as connection:
        entry = rows.entry(connection, doc_id)
        assert entry.record is not None
        sealed = rows.library_is_sealed(connection)
        if "source" in changes:
            there = library.entries_from(
                connection, changes["source"], entry.record.document_sha256
            )
            others = [other for other in there if other.key != entry.key]
            library.retire(connection, library.forget(connection, others))
        library.update(connection, entry, **changes)
        if sealed:
            rows.seal_library(connection)


def note_failure(store: Path, source: str, reason: str | None) -> None:
    """Note why a file could not be indexed, or with None forget it."""
    with _writable(store) as catalogue, catalogue.writing() as connection:
        sealed = rows.library_is_sealed(connection)
        if reason is None:
            library.drop_failure(connection, source)
        else:
            library.put_failure(connection, source, reason)
        if sealed:
            rows.seal_library(connection)


def collect(store: Path) -> GcReport:
    """Remove every file that no document needs, and mend what needs no document's file."""
    with _writable(store) as catalogue:
        retired = sweeping.remove_retired(store, catalogue, grace_s=0)
        unused = sweeping.remove_unused(store, catalogue)
        sweeping.end(store)
        rebuild = not search_index_is_sound(catalogue)
        with catalogue.writing() as connection:
            if rebuild:
                library.rebuild_search(connection)
            connection.execute(
                "DELETE FROM identities WHERE digest NOT IN (SELECT identity FROM documents)"
            )
            rows.seal_library(connection)
        before = _catalogue_bytes(store)
        with guarded(catalogue.path):
            catalogue.connection.execute("PRAGMA incremental_vacuum").fetchall()
        catalogue.checkpoint()
        freed = max(0, before - _catalogue_bytes(store))
    return GcReport(retired.files + unused.files, retired.bytes + unused.bytes + freed, rebuild)


def stats(store: Path, catalogue: Catalogue) -> StoreStats:
    """Add up what is stored."""
    with catalogue.reading() as connection:
        totals = connection.execute(
            "SELECT count(*), total(pages), total(tokens), total(chunks) FROM documents"
        ).fetchone()
        failed = connection.execute("SELECT count(*) FROM failed").fetchone()[0]
        blobs = {row[0] for row in connection.execute("SELECT blob FROM segments")}
    sizes = {sha256: path.stat().st_size for sha256, path in BlobFiles(store).all()}
    used = {sha256: size for sha256, size in sizes.items() if sha256 in blobs}
    return StoreStats(
        documents=totals[0],
        pages=int(totals[1]),
        tokens=int(totals[2]),
        chunks=int(totals[3]),
        failed=failed,
        blobs=len(used),
        blob_bytes=sum(used.values()),
        catalogue_bytes=_catalogue_bytes(store),
        unused_bytes=sum(sizes.values()) - sum(used.values()),
    )


def _catalogue_bytes(store: Path) -> int:
    files = (store / (CATALOGUE + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
