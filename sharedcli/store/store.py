"""``Store``: the one way into context trees on disk.

    with Store.open(path, create=True) as store:
        with store.writer(document, identity, file_size=..., mtime_ns=...) as writer:
            writer.put_passages(passages, vectors)
            writer.put_chunk(0, tokens, {"level3.keys": keys, "level3.values": values}, summaries)
            record = writer.commit()
        slots = store.read_chunk(record.id, 0, ["level3.keys"])

Notable choices:
- Readers take no lock and are never blocked; one writer at a time holds ``STORE/lock``.
- What reads is inherited: the list of documents (``listing.py``), and what is in them
  (``contents.py``). Here is what opens a store and what changes it.
- torch, and what needs it, is imported by the methods that give or take tensors, so that listing a
  library stays quick.

It knows nothing of models, questions or files to index; the layout on disk is described in
``docs/reference/store-format.md``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sharedcli.errors import CorruptionError, NoStoreError, SharedCLIError, UsageError
from sharedcli.ingest.document import Document
from sharedcli.ingest.sanitise import absolute_path
from sharedcli.store import catalogue as catalogues
from sharedcli.store import durable, schema
from sharedcli.store.blobs import BLOBS, TEMPORARY, BlobFiles
from sharedcli.store.catalogue import CATALOGUE, Catalogue
from sharedcli.store.contents import Contents
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.listing import Listing
from sharedcli.store.locking import WriterLock
from sharedcli.store.records import (
    CheckReport,
    DocumentRecord,
    GcReport,
    StoreStats,
)

if TYPE_CHECKING:
    from sharedcli.store.writer import DocumentWriter

LOCK_TIMEOUT_S = 10.0


class Store(Listing, Contents):
    """An open store. May be shared between threads; close it, or use it in a ``with`` block.

    Any method raises ``CorruptionError`` if stored bytes that it needs do not match their digest.
    """

    def __init__(self, path: Path, lock: WriterLock, quota: int | None = None) -> None:
        self.path = path
        self._lock = lock
        self._quota = quota
        self._catalogue = Catalogue(path)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        lock_timeout: float = LOCK_TIMEOUT_S,
        quota: int | None = None,
    ) -> Store:
        """Open the store at ``path``; with ``create``, make it if there is none.

        Args:
            path: the store's directory.
            create: make an empty store where there is none.
            lock_timeout: seconds that a writer waits for another one.
            quota: bytes that the store's files may take in all; None for no limit.

        Raises:
            NoStoreError: there is none, and ``create`` is not given.
            ModelMismatchError: it was written by a newer release.
            SharedCLIError: it was written by an older one, and may not be written to.
            UsageError: ``path`` is something else.
        """
        with durable.translated(path):
            if path.exists() and not path.is_dir():
                raise UsageError(f"{path} is not a directory; choose another place with --store")
            absent = not (path / CATALOGUE).exists()
        lock = WriterLock(path, lock_timeout)
        if absent or _version(path) == 0:
            _refuse_if_robbed(path)
            if not create:
                raise NoStoreError(f"no store at {path}; make one with `sharedcli index FILE`")
            with durable.translated(path):
                for directory in (path, path / BLOBS, path / TEMPORARY):
                    durable.disk.make_directory(directory)
            with lock.held():
                catalogues.create(path)
        elif (found := _version(path)) < schema.FORMAT_VERSION:
            _refuse_if_read_only(path, found)
            with lock.held():
                catalogues.upgrade(path)
        return cls(path, lock, quota)

    def close(self) -> None:
        """Close the store."""
        self._catalogue.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the writer's lock over several changes. ``StoreLockedError`` after the timeout."""
        return self._lock.held()

    # --- changes to the library ----------------------------------------------------------------

    def remove(self, doc_ids: Iterable[str]) -> list[str]:
        """Remove documents, damaged ones too, with their blobs; return the ids that were there."""
        from sharedcli.store.maintenance import remove

        with self._lock.held():
            return remove(self.path, list(doc_ids))

    def relocate(
        self,
        doc_id: str,
        *,
        source: str | None = None,
        title: str | None = None,
        file_size: int | None = None,
        mtime_ns: int | None = None,
    ) -> DocumentRecord:
        """Note that a document's file was renamed or touched, its content being the same."""
        from sharedcli.store.maintenance import relocate

        path = None if source is None else absolute_path(source)
        changes = {
            "source": source,
            "path": path,
            "title": title,
            "file_size": file_size,
            "mtime_ns": mtime_ns,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        with self._lock.held():
            relocate(self.path, doc_id, given)
        return self.document(doc_id)

    def touch(self, files: Mapping[str, tuple[int, int]]) -> None:
        """Note sizes and times of many files, by document id, whose content is the same."""
        from sharedcli.store.maintenance import touch

        if files:
            with self._lock.held():
                touch(self.path, files)

    def record_failure(self, source: str, reason: str) -> None:
        """Note that a file could not be indexed. Indexing it forgets this."""
        from sharedcli.store.maintenance import note_failure

        with self._lock.held():
            note_failure(self.path, source, reason)

    def clear_failure(self, source: str) -> None:
        """Forget that a file failed (it was deleted)."""
        from sharedcli.store.maintenance import note_failure

        with self._lock.held():
            note_failure(self.path, source, None)

    def stats(self) -> StoreStats:
        """Return totals."""
        from sharedcli.store.maintenance import stats

        return stats(self.path, self._catalogue)

    def check(self, progress: Callable[[int, int], None] | None = None) -> CheckReport:
        """Read and verify everything. Never raises for damage: the report names it."""
        from sharedcli.store.checking import check

        return check(self.path, self._catalogue, progress)

    def gc(self) -> GcReport:
        """Remove files that no document needs, give space back, mend the full-text index."""
        from sharedcli.store.maintenance import collect

        with self._lock.held():
            return collect(self.path)

    def writer(
        self,
        document: Document,
        identity: TreeIdentity,
        *,
        file_size: int,
        mtime_ns: int,
        path: str = "",
    ) -> DocumentWriter:
        """Return a context manager that stores ``document`` in place of any from its source.

        ``path`` is the absolute one of its file, if that is on this machine.

        Raises (on entering): ``StoreLockedError`` if another process is writing.
        """
        from sharedcli.store.writer import DocumentWriter

        file = (path, file_size, mtime_ns)
        return DocumentWriter(self.path, self._lock, document, identity, file, quota=self._quota)

    def export(self, doc_id: str, target: Path) -> int:
        """Write a document's whole tree into one file; return its size in bytes.

        Raises:
            UsageError: the file exists already.
        """
        from sharedcli.store.exporting import export

        return export(self._catalogue, doc_id, target)

    def import_file(self, path: Path, *, replace: bool = False) -> DocumentRecord:
        """Store the document of an exported file, under the id that it had.

        Args:
            path: as ``export`` wrote it; every byte is verified and nothing in it is trusted.
            replace: also where another document was read from the same source.

        Raises:
            CorruptionError: the file is damaged, or none that ``export`` writes.
            UsageError: there is another document from the same source.
        """
        from sharedcli.store.importing import import_file

        return import_file(self, path, replace=replace)


def _refuse_if_robbed(path: Path) -> None:
    """An empty catalogue among blobs was not always empty: starting anew would drop documents."""
    if next(BlobFiles(path).all(), None) is not None:
        raise CorruptionError(
            f"the catalogue in {path} is missing or empty, but trees are stored there; bring it "
            "back from a copy, or delete the directory and index the files again"
        )


def _refuse_if_read_only(path: Path, version: int) -> None:
    """An older store is brought up to date before anything is read of it."""
    if not os.access(path, os.W_OK):
        raise SharedCLIError(
            f"the store {path} has format version {version}, and must be brought to version "
            f"{schema.FORMAT_VERSION} once; run `sharedcli list` on it where you may write to it"
        )


def _version(path: Path) -> int:
    found = Catalogue(path)
    found.close()
    return found.version
