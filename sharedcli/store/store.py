"""``Store``: the one way into context trees on disk.

    with Store.open(path, create=True) as store:
        with store.writer(document, identity, file_size=..., mtime_ns=...) as writer:
            writer.put_passages(passages, vectors)
            writer.put_chunk(0, tokens, {"level3.keys": keys, "level3.values": values}, summaries)
            record = writer.commit()
        slots = store.read_chunk(record.id, 0, ["level3.keys"])

Notable choices:
- Readers take no lock and are never blocked; one writer at a time holds ``STORE/lock``.
- torch, and what needs it, is imported by the methods that give or take tensors, so that listing a
  library stays quick.

It knows nothing of models, questions or files to index; the layout on disk is described in
``docs/reference/store-format.md``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sharedcli.errors import CorruptionError, ModelMismatchError, NoStoreError, UsageError
from sharedcli.ingest.document import Document
from sharedcli.store import catalogue as catalogues
from sharedcli.store import durable, fulltext, ledger, rows, schema, selecting
from sharedcli.store.blobs import BLOBS, TEMPORARY, BlobFiles
from sharedcli.store.catalogue import CATALOGUE, Catalogue
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.locking import WriterLock
from sharedcli.store.records import (
    CheckReport,
    ChunkSpan,
    DocumentRecord,
    FailedFile,
    GcReport,
    Passage,
    PassageHit,
    StoreStats,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from sharedcli.store.spans import ChunkTokens
    from sharedcli.store.writer import DocumentWriter

LOCK_TIMEOUT_S = 10.0


class Store:
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
        elif _version(path) < schema.FORMAT_VERSION:
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

    # --- the library ---------------------------------------------------------------------------

    def documents(self) -> list[DocumentRecord]:
        """Return all documents in the order they were added."""
        with self._catalogue.reading() as connection:
            found = list(rows.entries(connection))
            sealed = ledger.is_sealed(connection)
        for entry in found:
            if entry.record is None:
                raise CorruptionError(
                    f"the record of {entry.source} is damaged; run "
                    f"`{rows.repair_command(entry.source)}`, or `sharedcli gc` to drop it"
                )
        if not sealed:
            raise CorruptionError(
                f"the list of documents in {self.path} is damaged; run `sharedcli check`, then "
                "`sharedcli gc`"
            )
        return [entry.record for entry in found if entry.record is not None]

    def document(self, doc_id: str) -> DocumentRecord:
        """Return one document by its whole id. ``NoStoreError`` if there is none."""
        with self._catalogue.reading() as connection:
            record = rows.entry(connection, doc_id).record
        assert record is not None
        return record

    def resolve(self, selector: str, *, one: bool = False) -> list[DocumentRecord]:
        """Return documents by id, prefix of an id, path, file name, title or glob.

        Raises:
            NoStoreError: nothing matches.
            UsageError: ``one`` is asked for and several match.
        """
        return selecting.select(self.documents(), selector, one=one)

    def find(self, source: str) -> DocumentRecord | None:
        """Return the document that was read from exactly this path, if there is one.

        One whose record is damaged counts as none: indexing the file again replaces it.
        """
        with self._catalogue.reading() as connection:
            found = rows.entries_where(connection, "source = ?", rows.encode_text(source))
        return next((entry.record for entry in reversed(found)), None)

    def find_content(self, document_sha256: str) -> list[DocumentRecord]:
        """Return the documents made from files with this digest (copies, renamed files)."""
        with self._catalogue.reading() as connection:
            found = rows.entries_where(connection, "document_sha256 = ?", document_sha256)
        return [entry.record for entry in found if entry.record is not None]

    def identity(self, doc_id: str) -> TreeIdentity:
        """Return who made a document's tree."""
        with self._catalogue.reading() as connection:
            record = rows.entry(connection, doc_id).record
            assert record is not None
            return rows.identity(connection, record)

    def check_identity(self, record: DocumentRecord, identity: TreeIdentity) -> None:
        """Make sure that a document's tree may be used by ``identity``.

        Raises:
            ModelMismatchError: it may not; names every field that differs, with both values.
        """
        if record.identity == identity.digest:
            return
        stored = self.identity(record.id)
        differences = stored.differences(identity)
        named = ", ".join(f"{name} was {old!r}, is {new!r}" for name, old, new in differences)
        advice = f"run `{rows.repair_command(record.source)}`"
        if stored.model != identity.model:
            advice += f", or pass `--model {shlex.quote(stored.model)}`"
        raise ModelMismatchError(
            f"{record.source} was indexed by another model or with other settings: {named}; "
            f"{advice}"
        )

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

        changes = {"source": source, "title": title, "file_size": file_size, "mtime_ns": mtime_ns}
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

    def failures(self) -> list[FailedFile]:
        """Return the files that could not be indexed."""
        from sharedcli.store.library import failures

        with self._catalogue.reading() as connection:
            return failures(connection)

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

    # --- one document --------------------------------------------------------------------------

    def writer(
        self, document: Document, identity: TreeIdentity, *, file_size: int, mtime_ns: int
    ) -> DocumentWriter:
        """Return a context manager that stores ``document`` in place of any from its source.

        Raises (on entering): ``StoreLockedError`` if another process is writing.
        """
        from sharedcli.store.writer import DocumentWriter

        return DocumentWriter(
            self.path, self._lock, document, identity, (file_size, mtime_ns), quota=self._quota
        )

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

    def load_document(self, doc_id: str) -> Document:
        """Return the document as it was read: text, pages, title, warnings."""
        with self._catalogue.reading() as connection:
            entry = rows.entry(connection, doc_id)
            text, pages = rows.text(connection, entry)
        record = entry.record
        assert record is not None
        return Document(
            source=record.source,
            title=record.title,
            media_type=record.media_type,
            sha256=record.document_sha256,
            text=text,
            pages=pages,
            paged=record.paged,
            warnings=record.warnings,
        )

    def chunks(self, doc_id: str) -> list[ChunkSpan]:
        """Return the spans of all chunks."""
        with self._catalogue.reading() as connection:
            entry = rows.entry(connection, doc_id)
            return [row.span for row in rows.chunks(connection, entry)]

    def chunk_tokens(self, doc_id: str, index: int) -> ChunkTokens:
        """Return a chunk's token ids and their characters. ``IndexError`` for no such chunk."""
        from sharedcli.store.spans import ChunkTokens

        with self._catalogue.reading() as connection:
            row = rows.chunk(connection, rows.entry(connection, doc_id), index)
        return ChunkTokens.unpack(row.span.token_start, row.tokens)

    def read_chunk(
        self,
        doc_id: str,
        index: int,
        names: Iterable[str] | None = None,
        dtype: torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Read tensors of one chunk; no other bytes of the blob are touched.

        Args:
            doc_id: whole id.
            index: chunk number.
            names: such as "level3.keys"; None for all.
            dtype: of the result; None keeps plain formats and turns int8 and int4 to float32.

        Returns:
            By name, keys and values each [M, K, S, D], on the CPU.

        Raises:
            KeyError, IndexError: no such tensor, no such chunk.
        """
        from sharedcli.store.reading import chunk_tensors

        return chunk_tensors(self._catalogue, doc_id, index, names, dtype)

    def read_summaries(self, doc_id: str) -> list[Tensor]:
        """Return each chunk's summaries, float16 [N nodes, E]. ``KeyError`` if it has none."""
        from sharedcli.store.reading import summaries

        return summaries(self._catalogue, doc_id)

    # --- passages ------------------------------------------------------------------------------

    def passages(self, doc_id: str) -> list[Passage]:
        """Return a document's passages."""
        from sharedcli.store.library import passages

        with self._catalogue.reading() as connection:
            return passages(connection, rows.entry(connection, doc_id))

    def passage_vectors(self, doc_ids: Iterable[str]) -> dict[str, NDArray[np.float16]]:
        """Return the passage vectors of documents, by id: [P, V], or [P, 0] without vectors."""
        from sharedcli.store.library import passage_vectors

        with self._catalogue.reading() as connection:
            return {
                doc_id: passage_vectors(connection, rows.entry(connection, doc_id))
                for doc_id in doc_ids
            }

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        """Return the best passages for an FTS5 expression, best first.

        Text that a user typed must be quoted with ``fulltext.quote_term``.

        Raises:
            UsageError: ``match`` is not an FTS5 expression.
        """
        with self._catalogue.reading() as connection:
            return fulltext.search(connection, match, doc_ids, limit)

    def count_text(self, match: str) -> dict[str, int]:
        """Return how many passages match an FTS5 expression in each document that has any.

        Raises:
            UsageError: ``match`` is not an FTS5 expression.
        """
        with self._catalogue.reading() as connection:
            return fulltext.count(connection, match)


def _refuse_if_robbed(path: Path) -> None:
    """An empty catalogue among blobs was not always empty: starting anew would drop documents."""
    if next(BlobFiles(path).all(), None) is not None:
        raise CorruptionError(
            f"the catalogue in {path} is missing or empty, but trees are stored there; bring it "
            "back from a copy, or delete the directory and index the files again"
        )


def _version(path: Path) -> int:
    found = Catalogue(path)
    found.close()
    return found.version
