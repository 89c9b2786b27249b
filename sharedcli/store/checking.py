"""``check``: reads everything that is stored and verifies every byte that means anything.

Notable choices:
- Blob files are hashed whole, and each tensor against its own seal; the catalogue goes through
  SQLite's own check and then row by row through the seals.
- The full-text index is compared with one made anew; see ``fulltext_check``.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sharedcli.errors import CorruptionError, SharedCLIError
from sharedcli.store import fulltext_check, ledger, rows, schema, sweeping
from sharedcli.store.blobs import BlobFiles
from sharedcli.store.catalogue import Catalogue
from sharedcli.store.records import CheckReport, Damage
from sharedcli.store.segments import directory_from_json, read_tensors
from sharedcli.store.spans import ChunkTokens

Progress = Callable[[int, int], None]
"""Called with documents done and documents in all."""


class _Check:
    def __init__(self, store: Path, catalogue: Catalogue) -> None:
        self.blobs = BlobFiles(store)
        self.catalogue = catalogue
        self.damaged: list[Damage] = []
        self.problems: list[str] = []
        self.tensors = 0
        self.bytes_read = 0

    def document(self, entry: rows.Entry) -> None:
        """Verify one document, unless it was replaced in the meantime."""
        try:
            with self.catalogue.reading() as connection:
                current = rows.entries_where(connection, "key = ?", entry.key)
                if not current:
                    return
                blobs = self._rows(connection, current[0])
            self._blobs(entry, blobs)
        except (SharedCLIError, OSError, ValueError, TypeError, LookupError, zlib.error) as error:
            self._note(entry, error)

    def _rows(
        self, connection: sqlite3.Connection, entry: rows.Entry
    ) -> list[tuple[tuple[str, int], list[rows.ChunkRow]]]:
        if entry.record is None:
            raise CorruptionError("its record does not match its digest")
        rows.identity(connection, entry.record)
        rows.text(connection, entry)
        rows.passages(connection, entry)
        found = list(rows.chunks(connection, entry))
        segments = rows.segments(connection, entry)
        seals = connection.execute(
            "SELECT texts.sha256, passages.sha256 FROM texts JOIN passages USING (document) "
            "WHERE document = ?",
            (entry.key,),
        ).fetchone()
        seal = rows.contents_seal(entry.id, seals, segments, (chunk.sha256 for chunk in found))
        if seal != entry.contents_sha256:
            raise CorruptionError("its parts do not match the digest over all of them")
        return [(s, [chunk for chunk in found if chunk.blob == s[0]]) for s in segments]

    def _blobs(
        self, entry: rows.Entry, segments: list[tuple[tuple[str, int], list[rows.ChunkRow]]]
    ) -> None:
        for segment, chunks in segments:
            self.blobs.verify(*segment)
            self.bytes_read += segment[1]
            for chunk in chunks:
                ChunkTokens.unpack(chunk.span.token_start, chunk.tokens)
                tensors = directory_from_json(chunk.tensors)
                read_tensors(self.blobs, segment, entry.id, chunk.span.index, tensors)
                self.tensors += len(tensors)

    def _note(self, entry: rows.Entry, error: Exception) -> None:
        if isinstance(error, FileNotFoundError):
            with self.catalogue.reading() as connection:
                if not rows.entries_where(connection, "key = ?", entry.key):
                    return
            problem = f"a blob is missing ({Path(error.filename).name[:12]})"
        else:
            problem = str(error)
        problem = problem.partition("; run `")[0]
        repair = rows.repair_command(entry.source)
        self.damaged.append(Damage(entry.id, entry.source, problem, repair))

    def catalogue_file(self) -> None:
        """Verify what belongs to no single document."""
        with self.catalogue.reading() as connection:
            for (line,) in connection.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    self.problems.append(f"the catalogue is damaged: {line}")
            if not ledger.is_sealed(connection):
                self.problems.append(
                    "the list of documents is not as the last commit left it; run `sharedcli gc` "
                    "to accept what is left, then index again what is missing"
                )
            for line in _schema_changes(connection):
                self.problems.append(f"the catalogue's table {line} is damaged")
            # What a damaged document's passages were cannot be known; it is named by itself.
            with suppress(CorruptionError):
                if not fulltext_check.index_matches_text(connection):
                    self.problems.append(
                        "the full-text index is damaged; run `sharedcli gc` to make it anew"
                    )


def check(store: Path, catalogue: Catalogue, progress: Progress | None = None) -> CheckReport:
    """Verify a whole store. Needs no lock; documents that are replaced meanwhile are skipped."""
    state = _Check(store, catalogue)
    entries: list[rows.Entry] = []
    unused = 0
    try:
        state.catalogue_file()
        with catalogue.reading() as connection:
            entries = list(rows.entries(connection))
        for done, entry in enumerate(entries):
            if progress is not None:
                progress(done, len(entries))
            state.document(entry)
        unused = len(sweeping.unused(store, catalogue))
    except (CorruptionError, ValueError, TypeError) as error:
        state.problems.append(str(error))
    return CheckReport(
        len(entries),
        state.tensors,
        state.bytes_read,
        tuple(state.damaged),
        tuple(state.problems),
        unused,
    )


def _schema_changes(connection: sqlite3.Connection) -> list[str]:
    """Names of tables and indexes that are not as ``schema`` makes them.

    The full-text index's own tables are left out: they differ between releases of SQLite.
    """
    query = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' "
        "AND name NOT LIKE 'passage_text_%'"
    )
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        schema.create(fresh)
        expected = set(fresh.execute(query))
    return sorted({str(row[1]) for row in expected ^ set(connection.execute(query))})
