"""What became of each file since it was indexed: nothing, a touch, a new name, new content.

Notable choices:
- Size and time first, then the content's digest: a file that was only touched or renamed is never
  compressed again.
- A time that is as recent as the look at it proves nothing, because the file may change again
  within the clock's step; it is stored as 0, which matches no file.
- Renamed means: equal content, equal kind, and the file that it was indexed from is gone.
- A file is the same by whatever path it is named: ``papers/a.pdf`` and ``/home/me/papers/a.pdf``
  are one document, which goes by the latest name.

It decides only; ``engine/indexing.py`` acts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from sharedcli.errors import CorruptionError, DocumentError
from sharedcli.ingest.discover import STDIN, FoundFile
from sharedcli.ingest.files import content_sha256
from sharedcli.ingest.presence import is_gone, lies_in
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store

Kind = Literal["unchanged", "touched", "renamed", "changed", "new", "imported"]

_CLOCK_STEP_NS = 50_000_000
_COARSE_CLOCK_STEP_NS = 2_000_000_000


@dataclass(frozen=True)
class Verdict:
    """What became of a file; ``record`` is the document that is it, or that it replaces.

    The record of a changed file may go by another spelling of its path. "imported": the document of
    that name was never read from this file, and what it was read from may be nowhere else.
    """

    kind: Kind
    record: DocumentRecord | None = None


class Comparison:
    """Compares files with a store.

    Args:
        store: None where there is none yet.
        identity: who would make the trees, called at the first file that is known; None as its
            result: not known, documents count as made by the same.
        force: every file counts as new or changed.
    """

    def __init__(
        self,
        store: Store | None,
        identity: Callable[[], TreeIdentity | None],
        *,
        force: bool = False,
    ) -> None:
        self._store = store
        self._identity = identity
        self._force = force
        self._looked_ns = time.time_ns()
        self._spelled: dict[str, DocumentRecord] | None = None

    def of(self, found: FoundFile) -> Verdict:
        """Return what became of a file that can be read."""
        if self._store is None or found.source == STDIN:
            return Verdict("new")
        known = self._store.find(found.source) or self._spelled_otherwise(found)
        if self._force:
            return Verdict("changed", known) if known else Verdict("new")
        ours = known is not None and self._is_ours(known)
        if known and ours and self._same_time(known, found):
            return Verdict("unchanged" if known.source == found.source else "renamed", known)
        try:
            sha256 = content_sha256(found.path)
        except DocumentError:  # the reader will say so
            return Verdict("changed", known) if known else Verdict("new")
        if known and ours and known.document_sha256 == sha256:
            return Verdict("touched" if known.source == found.source else "renamed", known)
        if known and not known.path and known.document_sha256 != sha256:
            return Verdict("imported", known)  # whatever else this file may have been before
        if (moved := self._moved(found, sha256)) is not None:
            return Verdict("renamed", moved)
        return Verdict("changed", known) if known else Verdict("new")

    def _spelled_otherwise(self, found: FoundFile) -> DocumentRecord | None:
        """The document of the same file under a path that is written differently."""
        assert self._store is not None
        if self._spelled is None:
            self._spelled = self._places(self._store)
        record = self._spelled.get(found.place)
        if record is None:
            return None
        alike = self._store.find_content(record.document_sha256)
        return next((one for one in alike if one.id == record.id), None)  # as it is by now

    @staticmethod
    def _places(store: Store) -> dict[str, DocumentRecord]:
        """Documents by where their files are; none if a record is damaged.

        Indexing a damaged document again repairs it, so its record must not keep that from running.
        """
        try:
            return {one.place: one for one in store.documents() if one.source != STDIN}
        except CorruptionError:
            return {}

    def trusted_mtime_ns(self, found: FoundFile) -> int:
        """The file's time, or 0 if it is too fresh to tell this content from the next."""
        coarse = found.mtime_ns % 1_000_000_000 == 0
        step = _COARSE_CLOCK_STEP_NS if coarse else _CLOCK_STEP_NS
        return found.mtime_ns if found.mtime_ns + step < self._looked_ns else 0

    def _is_ours(self, record: DocumentRecord) -> bool:
        identity = self._identity()
        if identity is None or record.identity == identity.digest:
            return True
        assert self._store is not None
        try:
            return self._store.identity(record.id).serves(identity)
        except CorruptionError:
            return False

    def _same_time(self, known: DocumentRecord, found: FoundFile) -> bool:
        # 0 is no time that was trusted, whatever the file says
        return known.mtime_ns != 0 and (
            (known.file_size, known.mtime_ns) == (found.size, found.mtime_ns)
        )

    def _moved(self, found: FoundFile, sha256: str) -> DocumentRecord | None:
        assert self._store is not None
        for record in self._store.find_content(sha256):
            if (
                record.source != STDIN
                and record.place != found.place
                and _suffix(record.source) == _suffix(found.source)
                and self._is_ours(record)
                and is_gone(record.place)
            ):
                return record
        return None


def keeps_imported(source: str) -> str:
    """Why the file ``source`` does not take an imported document's place."""
    return (
        f"{source}: the library holds another document of that name, which was imported; give "
        "--force to put this one in its place, or index it by another name"
    )


def new_title(record: DocumentRecord, source: str) -> str:
    """The title after a rename: a title that was the file's name becomes its new name."""
    was_name = record.title == PurePath(record.source).name
    return PurePath(source).name if was_name else record.title


def missing(
    store: Store, paths: Sequence[str], found: Sequence[FoundFile]
) -> Iterator[tuple[str, list[DocumentRecord]]]:
    """Yield each folder of ``paths`` with its documents whose files are gone, if there are any.

    Raises:
        CorruptionError: the list of documents is damaged.
    """
    places = {one.place for one in found}
    told: set[str] = set()
    folders = [path for path in paths if path != STDIN and Path(path).is_dir()]
    others = [
        record
        for record in (store.documents() if folders else ())
        if record.path and record.place not in places  # what was imported has no file to miss
    ]
    for folder in folders:
        lost = [
            record
            for record in others
            if record.id not in told and lies_in(record.place, folder) and is_gone(record.place)
        ]
        told.update(record.id for record in lost)
        if lost:
            yield folder, lost


def _suffix(source: str) -> str:
    return PurePath(source).suffix.lower()
