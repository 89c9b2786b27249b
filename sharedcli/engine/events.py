"""What indexing tells its caller, one frozen event at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sharedcli.store.records import DocumentRecord

EventKind = Literal[
    "found",
    "reading",
    "loading",
    "compressing",
    "indexed",
    "unchanged",
    "renamed",
    "missing",
    "removed",
    "failed",
    "skipped",
    "planned",
    "done",
    "watching",
]

COUNTED: tuple[EventKind, ...] = (
    "unchanged",
    "renamed",
    "missing",
    "removed",
    "failed",
    "skipped",
)
"""Kinds that are counted under their own name."""

Stage = Literal["pages", "passages"]
OnProgress = Callable[[Stage, int, "int | None"], None]
"""Told what is counted inside of one file, how many are done, and of how many (None: unknown)."""


@dataclass(frozen=True)
class IndexCounts:
    """Files by what became of them; ``tokens`` and ``seconds`` are of the newly indexed ones.

    ``missing`` documents have lost their file and are kept; ``removed`` ones were pruned.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    renamed: int = 0
    missing: int = 0
    removed: int = 0
    failed: int = 0
    skipped: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stored_bytes: int = 0


@dataclass(frozen=True)
class Estimate:
    """What indexing will take; None where nothing was ever measured on this machine.

    ``bytes`` are of the store, ``memory`` is the process's at its peak.
    """

    tokens: int = 0
    bytes: int | None = None
    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class IndexEvent:
    """One step of indexing.

    Attributes:
        kind: "found" first (``total`` files); per file "reading", "loading" the model,
            "compressing" (``done`` of ``total`` tokens), then one of "indexed", "unchanged",
            "renamed", "failed" or "skipped" ("planned" instead of "indexed" in a dry run); per
            document without a file "missing" or "removed"; and "done" last. "watching" per folder
            when ``watch`` has caught up with it.
        source: the file, as printed.
        done, total: progress; ``total`` is None if unknown.
        record: the document, for "indexed", "unchanged", "renamed", "missing" and "removed".
        changed: for "indexed" and "planned": the file had been indexed before.
        previous: for "renamed": what the file was called before.
        reason: for "failed" and "skipped", one sentence.
        seen: for "failed", size and modification time of the file when it was found.
        warnings: what the reader noticed.
        seconds: time that this file took, without loading the models.
        estimate: for "planned", and for "done" of a dry run, the sum.
        counts: for "done".
    """

    kind: EventKind
    source: str = ""
    done: int = 0
    total: int | None = None
    record: DocumentRecord | None = None
    changed: bool = False
    previous: str = ""
    reason: str = ""
    seen: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    estimate: Estimate | None = None
    counts: IndexCounts | None = None
