"""What the store tells its callers: plain frozen records, free of torch, numpy and SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from sharedcli.ingest.sanitise import absolute_path


@dataclass(frozen=True)
class DocumentRecord:
    """One indexed document.

    Attributes:
        id: 12 hex digits, stable as long as source, content and identity are the same.
        source: the path it was read from, as it was named, or "-".
        identity: digest of the ``TreeIdentity`` that made its tree.
        document_sha256: hex digest of the file's bytes.
        file_size, mtime_ns: of the file when it was read, for skipping unchanged files quickly.
        stored_bytes: bytes of its blobs and of its text, tokens and vectors in the catalogue.
        added_at: UTC time of the commit, ISO 8601.
        path: the absolute form of ``source`` when it was read; "" for standard input, imported
            trees, and trees of versions that did not note it.
    """

    id: str
    source: str
    title: str
    media_type: str
    document_sha256: str
    file_size: int
    mtime_ns: int
    pages: int
    paged: bool
    tokens: int
    chunks: int
    stored_bytes: int
    identity: str
    added_at: str
    warnings: tuple[str, ...] = ()
    path: str = ""

    @property
    def place(self) -> str:
        """Absolute path of the file; where it was not noted, seen from the working directory."""
        return self.path or absolute_path(self.source)


@dataclass(frozen=True)
class ChunkSpan:
    """Where a chunk lies: half-open spans over the document's tokens and characters."""

    index: int
    token_start: int
    token_end: int
    char_start: int
    char_end: int


@dataclass(frozen=True)
class Passage:
    """A verbatim stretch of text that full-text search finds.

    ``ordinal`` counts from 0, ``page`` is the page's number, ``start`` and ``end`` a half-open span
    of characters.
    """

    ordinal: int
    page: int
    start: int
    end: int


@dataclass(frozen=True)
class PassageHit:
    """A passage that matched. ``bm25`` is larger for better matches (SQLite's sign turned)."""

    doc_id: str
    ordinal: int
    bm25: float


@dataclass(frozen=True)
class FailedFile:
    """A file that could not be indexed, why, and when (UTC, ISO 8601); ``source`` is absolute."""

    source: str
    reason: str
    failed_at: str


@dataclass(frozen=True)
class StoreStats:
    """Totals of a store. Bytes are as on disk; ``unused_bytes`` are what ``gc`` would give back."""

    documents: int
    pages: int
    tokens: int
    chunks: int
    failed: int
    blobs: int
    blob_bytes: int
    catalogue_bytes: int
    unused_bytes: int


@dataclass(frozen=True)
class Damage:
    """One damaged document: what is wrong and the command that repairs it."""

    doc_id: str
    source: str
    problem: str
    repair: str


@dataclass(frozen=True)
class CheckReport:
    """What ``check`` read and found.

    ``damaged`` has one entry per damaged document, ``problems`` are about the store as a whole,
    ``unused_files`` are left-overs that ``gc`` removes; these are no damage.
    """

    documents: int
    tensors: int
    bytes_read: int
    damaged: tuple[Damage, ...] = field(default=())
    problems: tuple[str, ...] = field(default=())
    unused_files: int = 0

    @property
    def clean(self) -> bool:
        """True if nothing is damaged."""
        return not self.damaged and not self.problems


@dataclass(frozen=True)
class GcReport:
    """What ``gc`` removed, and the sources of documents that were damaged beyond use."""

    files: int
    bytes: int
    rebuilt_search_index: bool = False
    dropped: tuple[str, ...] = ()
