"""Reading the catalogue's rows, each verified against its seal before anything in it is used.

Notable choices:
- Seals form a tree: the library's covers every document's, a document's covers its contents', and
  those cover text, passages, segments and chunks. So a row that is changed, lost or put under
  another document is noticed.
- Verification comes before decompression and parsing: damaged bytes reach neither.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sharedcli.errors import CorruptionError, NoStoreError
from sharedcli.ingest.document import Page
from sharedcli.store import ledger
from sharedcli.store.digests import digest
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.records import ChunkSpan, DocumentRecord

_COLUMNS = (
    "key, id, source, identity, document_sha256, file_size, mtime_ns, details, pages, tokens, "
    "chunks, stored_bytes, added_at, contents_sha256, record_sha256"
)


@dataclass(frozen=True)
class Entry:
    """A row of ``documents``. ``record`` is None if the row is damaged."""

    key: int
    id: str
    source: str
    contents_sha256: str
    record: DocumentRecord | None


@dataclass(frozen=True)
class ChunkRow:
    """A verified row of ``chunks``, still packed."""

    span: ChunkSpan
    tokens: bytes
    blob: str
    tensors: str
    sha256: str


def encode_text(text: str) -> bytes:
    """UTF-8 that carries lone surrogates (odd file names) too."""
    return text.encode("utf-8", "surrogatepass")


def decode_text(data: bytes) -> str:
    """Undo ``encode_text``."""
    return data.decode("utf-8", "surrogatepass")


def repair_command(source: str) -> str:
    """Return the command that makes a damaged document whole."""
    return f"sharedcli index --force {shlex.quote(source)}"


def damaged(source: str, problem: str) -> CorruptionError:
    """Say what is damaged in the document from ``source``, and what repairs it."""
    return CorruptionError(
        f"the stored tree of {source} is damaged: {problem}; run `{repair_command(source)}`"
    )


def entries(connection: sqlite3.Connection) -> Iterator[Entry]:
    """Yield all documents in the order they were added, damaged ones with ``record`` None."""
    for row in connection.execute(f"SELECT {_COLUMNS} FROM documents ORDER BY key"):
        yield _entry(row)


def entries_where(
    connection: sqlite3.Connection, condition: str, *values: str | bytes | int
) -> list[Entry]:
    """Return the documents for which an SQL condition of this package holds."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM documents WHERE {condition} ORDER BY key", values
    )
    return [_entry(row) for row in rows]


def entry(connection: sqlite3.Connection, doc_id: str) -> Entry:
    """Return one document's row.

    Raises:
        NoStoreError: no document has that id.
        CorruptionError: its row is damaged.
    """
    found = entries_where(connection, "id = ?", doc_id)
    if not found:
        raise NoStoreError(f"no document {doc_id} in the store; see `sharedcli list`")
    if found[0].record is None:
        raise damaged(found[0].source, "its record does not match its digest")
    return found[0]


def _entry(row: tuple[Any, ...]) -> Entry:
    key, doc_id, source, contents = row[0], row[1], row[2], row[-2]
    name = source.decode("utf-8", "replace") if isinstance(source, bytes) else str(source)
    if digest("record", *row[:-1]) != row[-1]:
        return Entry(key, str(doc_id), name, str(contents), None)
    details = json.loads(row[7])
    record = DocumentRecord(
        id=doc_id,
        source=decode_text(source),
        title=details["title"],
        media_type=details["media_type"],
        document_sha256=row[4],
        file_size=row[5],
        mtime_ns=row[6],
        pages=row[8],
        paged=details["paged"],
        tokens=row[9],
        chunks=row[10],
        stored_bytes=row[11],
        identity=row[3],
        added_at=row[12],
        warnings=tuple(details["warnings"]),
        path=details.get("path", ""),
    )
    return Entry(key, doc_id, record.source, contents, record)


def next_key(connection: sqlite3.Connection) -> int:
    """Return a key that no document has or had, even if the sequence is damaged."""
    row = connection.execute(
        "SELECT max(ifnull((SELECT max(key) FROM documents), 0), "
        "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'documents'), 0))"
    ).fetchone()
    return int(row[0]) + 1


def put_entry(
    connection: sqlite3.Connection, key: int, record: DocumentRecord, contents_sha256: str
) -> None:
    """Write a document's row and its seal."""
    ledger.shift(connection, ledger.documents(connection, key), ())
    details = {
        "title": record.title,
        "media_type": record.media_type,
        "paged": record.paged,
        "warnings": record.warnings,
    }
    if record.path:
        details["path"] = record.path
    values = (
        key,
        record.id,
        encode_text(record.source),
        record.identity,
        record.document_sha256,
        record.file_size,
        record.mtime_ns,
        json.dumps(details, separators=(",", ":")),
        record.pages,
        record.tokens,
        record.chunks,
        record.stored_bytes,
        record.added_at,
        contents_sha256,
    )
    places = ", ".join("?" * (len(values) + 1))
    connection.execute(
        f"INSERT INTO documents({_COLUMNS}) VALUES ({places}) ON CONFLICT(key) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:]),
        (*values, digest("record", *values)),
    )
    ledger.shift(connection, (), ledger.documents(connection, key))


def identity(connection: sqlite3.Connection, record: DocumentRecord) -> TreeIdentity:
    """Return who made a document's tree."""
    row = connection.execute(
        "SELECT fields FROM identities WHERE digest = ?", (record.identity,)
    ).fetchone()
    if row is None or digest("identity", row[0]) != record.identity:
        raise damaged(record.source, "the identity of its maker does not match its digest")
    return TreeIdentity.from_json(row[0])


def text(connection: sqlite3.Connection, owner: Entry) -> tuple[str, tuple[Page, ...]]:
    """Return a document's text and pages."""
    row = connection.execute(
        "SELECT text, pages, sha256 FROM texts WHERE document = ?", (owner.key,)
    ).fetchone()
    if row is None or digest("text", owner.id, *row[:2]) != row[2]:
        raise damaged(owner.source, "its text does not match its digest")
    pages = json.loads(zlib.decompress(row[1]))
    return decode_text(zlib.decompress(row[0])), tuple(Page(*page) for page in pages)


def passages(connection: sqlite3.Connection, owner: Entry) -> tuple[bytes, int, bytes]:
    """Return a document's passages still packed: spans, size of a vector, vectors."""
    row = connection.execute(
        "SELECT spans, vector_size, vectors, sha256 FROM passages WHERE document = ?",
        (owner.key,),
    ).fetchone()
    if row is None or digest("passages", owner.id, *row[:3]) != row[3]:
        raise damaged(owner.source, "its passages do not match their digest")
    return row[0], row[1], row[2]


_CHUNK = "chunk, token_start, token_end, char_start, char_end, tokens, blob, tensors, sha256"


def chunk(connection: sqlite3.Connection, owner: Entry, index: int) -> ChunkRow:
    """Return one chunk's row. ``IndexError`` if the document has no such chunk."""
    assert owner.record is not None
    if not 0 <= index < owner.record.chunks:
        raise IndexError(f"chunk {index} of a document with {owner.record.chunks} chunks")
    row = connection.execute(
        f"SELECT {_CHUNK} FROM chunks WHERE document = ? AND chunk = ?", (owner.key, index)
    ).fetchone()
    return _chunk(row, owner, index)


def chunks(connection: sqlite3.Connection, owner: Entry) -> Iterator[ChunkRow]:
    """Yield all chunks of a document, in order; raises if one is missing."""
    assert owner.record is not None
    rows = connection.execute(
        f"SELECT {_CHUNK} FROM chunks WHERE document = ? ORDER BY chunk", (owner.key,)
    )
    for index in range(owner.record.chunks):
        yield _chunk(rows.fetchone(), owner, index)


def _chunk(row: tuple[Any, ...] | None, owner: Entry, index: int) -> ChunkRow:
    if row is None or row[0] != index or digest("chunk", owner.id, *row[:-1]) != row[-1]:
        raise damaged(owner.source, f"chunk {index} does not match its digest")
    return ChunkRow(ChunkSpan(*row[:5]), *row[5:])


def segments(connection: sqlite3.Connection, owner: Entry) -> list[tuple[str, int]]:
    """Return ``(sha256, bytes)`` of a document's blobs, in order. Covered by ``contents_seal``."""
    return connection.execute(
        "SELECT blob, bytes FROM segments WHERE document = ? ORDER BY segment", (owner.key,)
    ).fetchall()


def contents_seal(
    doc_id: str,
    seals: tuple[str, str],
    segments: Iterable[tuple[str, int]],
    chunk_sha256s: Iterable[str],
) -> str:
    """Return the digest over all that a document consists of.

    ``seals`` are those of its text and of its passages.
    """
    flat = [value for segment in segments for value in segment]
    return digest("contents", doc_id, *seals, len(flat), *flat, *chunk_sha256s)


def delete_entry(connection: sqlite3.Connection, key: int) -> None:
    """Delete a document's row, and with it all rows that belong to it."""
    ledger.shift(connection, ledger.documents(connection, key), ())
    connection.execute("DELETE FROM documents WHERE key = ?", (key,))
