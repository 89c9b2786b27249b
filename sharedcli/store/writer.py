"""Writing one document: blobs first, then a single transaction that publishes it.

Notable choices:
- Catalogue rows are written as the chunks come, inside one open transaction: memory stays flat for
  any length, readers keep seeing the store as it was, and a killed writer leaves nothing but files
  that no row names.
- A document from the same source is replaced inside the same transaction. Its blobs live on for a
  while (``retired``), for readers that are in the middle of them.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from json import dumps
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from sharedcli.errors import SharedCLIError
from sharedcli.ingest.document import Document
from sharedcli.store import durable, fulltext, library, rows, sweeping
from sharedcli.store.blobs import BlobFiles
from sharedcli.store.catalogue import Catalogue, guarded
from sharedcli.store.digests import digest
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.locking import WriterLock
from sharedcli.store.quantize import Encoded, encode
from sharedcli.store.quota import Quota
from sharedcli.store.records import DocumentRecord, Passage
from sharedcli.store.segments import Segment, directory_to_json
from sharedcli.store.spans import INT32, ChunkTokens

SUMMARIES = "summaries"
_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*\Z")
_ID_DIGITS = 12
_ROW_BYTES = 4096  # what a chunk's row takes besides its tokens, at most


class DocumentWriter:
    """Stores one document; see ``Store.writer``. Nothing is visible before ``commit`` returns.

    Raises (from every method): ``SharedCLIError`` if the disk is full or fails, ``ValueError`` if
    the parts do not fit together.
    """

    def __init__(
        self,
        store: Path,
        lock: WriterLock,
        document: Document,
        identity: TreeIdentity,
        file: tuple[str, int, int],
        *,
        quota: int | None = None,
    ) -> None:
        self._quota = Quota(store, quota)
        self._store = store
        self._lock = lock
        self._blobs = BlobFiles(self._store)
        self._document = document
        self._identity = identity
        self._path, self._file_size, self._mtime_ns = file
        self._exit = ExitStack()
        self._segments: list[tuple[str, int]] = []
        self._chunk_seals: list[str] = []
        self._pending: list[ChunkTokens] = []
        self._tokens = self._stored_bytes = 0
        self._passages_seal = ""
        self._record: DocumentRecord | None = None
        self._files_begun = False

    def __enter__(self) -> DocumentWriter:
        with ExitStack() as stack:
            stack.enter_context(self._lock.held())
            self._catalogue = Catalogue(self._store, write=True)
            stack.callback(self._catalogue.close)
            sweeping.recover(self._store, self._catalogue)
            sweeping.begin(self._store)
            stack.callback(self._clean_up)
            self._quota.begin(self._catalogue, self._document.text)
            with self._failing():
                self._connection.execute("BEGIN IMMEDIATE")
                self._begin()
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    @property
    def slot_format(self) -> str:
        """What ``put_encoded`` expects keys and values in."""
        return self._identity.slot_format

    def put_passages(self, passages: Sequence[Passage], vectors: ArrayLike | None = None) -> None:
        """Store the passages for full-text search, once per document.

        Args:
            passages: with ordinals 0, 1, 2, ...
            vectors: [P, V], kept as float16; None where there are none.
        """
        if self._passages_seal:
            raise ValueError("a document's passages are put once")
        if len(passages) > fulltext.MAX_PASSAGES:
            raise ValueError(f"a document may have at most {fulltext.MAX_PASSAGES:,} passages")
        length = len(self._document.text)
        for ordinal, passage in enumerate(passages):
            if passage.ordinal != ordinal or not 0 <= passage.start <= passage.end <= length:
                raise ValueError(f"passage {ordinal} does not fit the document: {passage}")
        spans = np.array([(p.page, p.start, p.end) for p in passages], dtype=INT32).tobytes()
        size, packed = _packed_vectors(vectors, len(passages))
        self._quota.admit(self._catalogue, rows=len(spans) + len(packed))
        with self._failing():
            self._passages_seal = digest("passages", self._id, spans, size, packed)
            self._connection.execute(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                (self._key, spans, size, packed, self._passages_seal),
            )
            fulltext.index_passages(self._connection, self._key, self._document.text, passages)
        self._stored_bytes += len(spans) + len(packed)

    def put_chunk(
        self,
        index: int,
        tokens: ChunkTokens,
        tensors: Mapping[str, Tensor],
        summaries: Tensor | None = None,
    ) -> None:
        """Store the next chunk.

        Args:
            index: 0 for the first chunk, then 1, 2, ...
            tokens: its token ids and their characters; must start where the last chunk ended.
            tensors: by name ("level3.keys"), each [M, K, S, D]; kept in the identity's slot format.
            summaries: [N nodes, E] for search, kept as float16.
        """
        if SUMMARIES in tensors:
            raise ValueError(f"a tensor cannot be named {SUMMARIES!r}")
        encoded = {name: encode(t, self._identity.slot_format) for name, t in tensors.items()}
        if summaries is not None:
            encoded[SUMMARIES] = encode(summaries, "float16")
        self.put_encoded(index, tokens, encoded)

    def put_encoded(self, index: int, tokens: ChunkTokens, encoded: Mapping[str, Encoded]) -> None:
        """Store the next chunk, whose tensors are in the slot format already."""
        if index != len(self._chunk_seals) + len(self._pending):
            raise ValueError(f"chunk {index} is out of order")
        if tokens.token_start != self._tokens:
            raise ValueError(f"chunk {index} starts at token {tokens.token_start}")
        if int(tokens.char_spans.max()) > len(self._document.text):
            raise ValueError(f"chunk {index} reaches beyond the text")
        for name in encoded:
            if not _NAME.match(name) or name.endswith(".scales"):
                raise ValueError(f"a tensor cannot be named {name!r}")
        self._pending.append(tokens)
        self._tokens = tokens.token_end
        self._segment.add(index, encoded)
        if self._segment.full:
            self._write_segment()

    def commit(self) -> DocumentRecord:
        """Publish the document, replacing the one from the same source, and return its record."""
        if self._record is not None:
            raise ValueError("a document is committed once")
        if not self._passages_seal:
            self.put_passages(())
        if self._pending:
            self._write_segment()
        with self._failing():
            record = self._publish()
            self._quota.admit(self._catalogue)
            durable.disk.commit(self._connection)
        self._record = record
        return record

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._catalogue.connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        with guarded(self._catalogue.path), durable.translated(self._catalogue.path):
            yield

    def _begin(self) -> None:
        """Put away what this document replaces, and write what is known of it already."""
        connection, document = self._connection, self._document
        replaced = library.entries_from(connection, document.source, document.sha256)
        for entry in replaced:
            self._quota.replaces(connection, entry)
        self._replaced_blobs = library.forget(connection, replaced)
        self._id = self._free_id()
        self._segment = Segment(self._id)
        connection.execute(
            "INSERT INTO identities(digest, fields) VALUES (?, ?) "
            "ON CONFLICT(digest) DO UPDATE SET fields = excluded.fields",
            (self._identity.digest, self._identity.to_json()),
        )
        self._key = rows.next_key(connection)
        rows.put_entry(connection, self._key, self._draft(), "")
        text = zlib.compress(rows.encode_text(document.text))
        spans = [(page.number, page.label, page.start, page.end) for page in document.pages]
        pages = zlib.compress(dumps(spans, separators=(",", ":")).encode())
        self._text_seal = digest("text", self._id, text, pages)
        connection.execute(
            "INSERT INTO texts VALUES (?, ?, ?, ?)", (self._key, text, pages, self._text_seal)
        )
        self._stored_bytes += len(text) + len(pages)

    def _free_id(self) -> str:
        name = digest(
            "document", self._identity.digest, self._document.sha256, self._document.source
        )
        for digits in range(_ID_DIGITS, len(name) + 1):
            taken = "SELECT 1 FROM documents WHERE id = ?"
            if self._connection.execute(taken, (name[:digits],)).fetchone() is None:
                return name[:digits]
        raise ValueError("the document is in the store already")

    def _draft(self) -> DocumentRecord:
        document = self._document
        return DocumentRecord(
            id=self._id,
            source=document.source,
            title=document.title,
            media_type=document.media_type,
            document_sha256=document.sha256,
            file_size=self._file_size,
            mtime_ns=self._mtime_ns,
            pages=len(document.pages),
            paged=document.paged,
            tokens=self._tokens,
            chunks=len(self._chunk_seals),
            stored_bytes=self._stored_bytes,
            identity=self._identity.digest,
            added_at=library.now(),
            warnings=document.warnings,
            path=self._path,
        )

    def _write_segment(self) -> None:
        self._files_begun = True
        first = len(self._chunk_seals)
        data, directories = self._segment.serialize()
        row_bytes = sum(12 * len(one.token_ids) + _ROW_BYTES for one in self._pending)
        self._quota.admit(self._catalogue, blob=len(data), rows=row_bytes)
        blob = self._blobs.write(data)
        with self._failing():
            self._connection.execute(
                "INSERT INTO segments VALUES (?, ?, ?, ?)",
                (self._key, len(self._segments), blob, len(data)),
            )
            for index, tokens in enumerate(self._pending, first):
                self._put_chunk_row(index, tokens, blob, directory_to_json(directories[index]))
        self._segments.append((blob, len(data)))
        self._stored_bytes += len(data)
        self._segment, self._pending = Segment(self._id), []

    def _put_chunk_row(self, index: int, tokens: ChunkTokens, blob: str, tensors: str) -> None:
        span = tokens.span(index)
        packed = tokens.pack()
        values = (
            index,
            span.token_start,
            span.token_end,
            span.char_start,
            span.char_end,
            packed,
            blob,
            tensors,
        )
        seal = digest("chunk", self._id, *values)
        self._connection.execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (self._key, *values, seal)
        )
        self._chunk_seals.append(seal)
        self._stored_bytes += len(packed) + len(tensors)

    def _publish(self) -> DocumentRecord:
        connection = self._connection
        seal = rows.contents_seal(
            self._id, (self._text_seal, self._passages_seal), self._segments, self._chunk_seals
        )
        record = self._draft()
        rows.put_entry(connection, self._key, record, seal)
        library.retire(connection, self._replaced_blobs)
        library.drop_failure(connection, record.source)
        return record

    def _clean_up(self) -> None:
        """Drop what was not published. What fails here is left to the next writer."""
        with suppress(SharedCLIError, sqlite3.Error):
            self._catalogue.rollback()
            if self._record is None and self._files_begun:
                sweeping.remove_unused(self._store, self._catalogue)
            sweeping.end(self._store)
            self._catalogue.checkpoint()


def _packed_vectors(vectors: ArrayLike | None, count: int) -> tuple[int, bytes]:
    """Return the size of a vector and all of them as little-endian float16."""
    if vectors is None:
        return 0, b""
    array = np.asarray(vectors, dtype="<f2")
    if array.ndim != 2 or len(array) != count:
        raise ValueError(f"{count} passages need vectors [{count}, V], not {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("passage vectors must be finite numbers in float16")
    return array.shape[1], array.tobytes()
