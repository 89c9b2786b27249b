"""Changes to the list of documents: forgetting one, renaming one, noting files that failed.

All functions work inside the caller's transaction.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Iterable
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from sharedcli.errors import CorruptionError
from sharedcli.ingest.sanitise import absolute_path
from sharedcli.store import fulltext, ledger, rows
from sharedcli.store.digests import is_sha256
from sharedcli.store.packed_passages import PackedPassages
from sharedcli.store.records import FailedFile

FLOAT16 = np.dtype("<f2")


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def entries_from(connection: sqlite3.Connection, source: str, sha256: str) -> list[rows.Entry]:
    """Documents that one from ``source`` replaces. Standard input replaces only its equal.

    A relative path names another file in another working directory, so what counts is where it
    leads. A document whose record is damaged is replaced by any file of its name.
    """
    raw = rows.encode_text(source)
    if source == "-":
        return rows.entries_where(connection, "source = ? AND document_sha256 = ?", raw, sha256)
    place = absolute_path(source)
    found = rows.entries_where(connection, "source = ?", raw)
    return [one for one in found if one.record is None or one.record.place == place]


def forget(connection: sqlite3.Connection, gone: Iterable[rows.Entry]) -> list[str]:
    """Delete documents, damaged ones too, and return the names of the blobs they had."""
    blobs: list[str] = []
    rebuild = False
    for entry in gone:
        try:
            text, _ = rows.text(connection, entry)
            found, _ = passages(connection, entry)
            fulltext.forget_passages(connection, entry.key, text, found)
        except CorruptionError:
            rebuild = True  # without its exact text it can only be left out of a new index
        blobs += [blob for blob, _ in rows.segments(connection, entry)]
        rows.delete_entry(connection, entry.key)
    if rebuild:
        rebuild_search(connection)
    return blobs


def passages(
    connection: sqlite3.Connection, owner: rows.Entry
) -> tuple[PackedPassages, NDArray[np.float16]]:
    """Return a document's passages and their vectors [P, V]; V is 0 where there are none."""
    spans, size, vectors = rows.passages(connection, owner)
    found = PackedPassages(spans)
    return found, np.frombuffer(vectors, dtype=FLOAT16).reshape(len(found), size)


def rebuild_search(connection: sqlite3.Connection) -> None:
    """Make the full-text index anew from all documents that are intact."""
    fulltext.clear(connection)
    for entry in list(rows.entries(connection)):
        try:
            text, _ = rows.text(connection, entry)
            found, _ = passages(connection, entry)
        except CorruptionError:
            continue  # ``check`` names it; its passages come back when it is indexed again
        fulltext.index_passages(connection, entry.key, text, found)


def retire(connection: sqlite3.Connection, blobs: Iterable[str]) -> None:
    """Note blobs that no document names any more, to be removed later."""
    connection.executemany(
        "INSERT OR REPLACE INTO retired(blob, since) VALUES (?, ?)",
        ((blob, time.time()) for blob in blobs if is_sha256(blob)),
    )
    connection.execute("DELETE FROM retired WHERE blob IN (SELECT blob FROM segments)")


def update(connection: sqlite3.Connection, entry: rows.Entry, **changes: object) -> None:
    """Change fields of a document's record (source, file_size, mtime_ns)."""
    assert entry.record is not None
    record = dataclasses.replace(entry.record, **changes)  # type: ignore[arg-type]
    rows.put_entry(connection, entry.key, record, entry.contents_sha256)


def failures(connection: sqlite3.Connection) -> list[FailedFile]:
    """Return the files that could not be indexed, by path.

    Raises:
        CorruptionError: the list is damaged.
    """
    found = connection.execute("SELECT source, reason, failed_at FROM failed ORDER BY source")
    try:
        return [
            FailedFile(rows.decode_text(source), rows.decode_text(reason), str(failed_at))
            for source, reason, failed_at in found
        ]
    except (AttributeError, UnicodeDecodeError):  # not even of the kind that is stored there
        raise CorruptionError(
            "the list of failed files is damaged; run `sharedcli gc` to drop what cannot be read"
        ) from None


def drop_unreadable_failures(connection: sqlite3.Connection) -> None:
    """Forget failures whose rows are damaged; the files are tried again when they are indexed."""
    found = connection.execute("SELECT rowid, source, reason FROM failed").fetchall()
    for row, *texts in found:
        try:
            for text in texts:
                rows.decode_text(text)
        except (AttributeError, UnicodeDecodeError):
            connection.execute("DELETE FROM failed WHERE rowid = ?", (row,))


def put_failure(connection: sqlite3.Connection, source: str, reason: str) -> None:
    """Note why a file could not be indexed; the last reason stays."""
    drop_failure(connection, source)
    # one name may fail in two folders, and `status` may be asked in a third
    place = source if source == "-" else absolute_path(source)
    why = reason.removeprefix(f"{source}: ")
    row = (rows.encode_text(place), rows.encode_text(why), now())
    connection.execute("INSERT INTO failed(source, reason, failed_at) VALUES (?, ?, ?)", row)
    ledger.shift(connection, (), [("failed", *row)])


def drop_failure(connection: sqlite3.Connection, source: str) -> None:
    """Forget that a file failed."""
    names = [rows.encode_text(name) for name in (source, absolute_path(source))]
    found = connection.execute(
        "SELECT 'failed', source, reason, failed_at FROM failed WHERE source IN (?, ?)", names
    ).fetchall()
    if found:
        ledger.shift(connection, found, ())
        connection.execute("DELETE FROM failed WHERE source IN (?, ?)", names)
