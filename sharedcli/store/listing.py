"""The library as a list: which documents a store holds, who made them, which files failed.

The part of ``Store`` that reads the list of documents; it takes no lock and changes nothing.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from sharedcli.errors import CorruptionError, ModelMismatchError
from sharedcli.store import ledger, rows
from sharedcli.store.catalogue import Catalogue
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.records import DocumentRecord, FailedFile
from sharedcli.store.selecting import Names


class Listing:
    """Documents by id, path, name and content. ``Store`` is one."""

    path: Path
    _catalogue: Catalogue

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
        return Names(self.documents()).select(selector, one=one)

    def find(self, source: str) -> DocumentRecord | None:
        """Return the document that was read from this path, spelt so, if there is one.

        One whose record is damaged counts as none: indexing the file again replaces it.
        """
        from sharedcli.store.library import entries_from

        with self._catalogue.reading() as connection:
            found = entries_from(connection, source, "")
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
            ModelMismatchError: it may not; names every field in the way, with both values.
        """
        if record.identity == identity.digest:
            return
        stored = self.identity(record.id)
        obstacles = stored.obstacles(identity)
        if not obstacles:
            return
        named = ", ".join(f"{name} was {old!r}, is {new!r}" for name, old, new in obstacles)
        advice = f"run `{rows.repair_command(record.source)}`"
        if stored.model != identity.model:
            advice += f", or pass `--model {shlex.quote(stored.model)}`"
        raise ModelMismatchError(
            f"{record.source} was indexed by another model or with other settings: {named}; "
            f"{advice}"
        )

    def failures(self) -> list[FailedFile]:
        """Return the files that could not be indexed."""
        from sharedcli.store.library import failures

        with self._catalogue.reading() as connection:
            return failures(connection)
