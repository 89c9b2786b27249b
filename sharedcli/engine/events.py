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
    "failed",
    "skipped",
    "done",
]

Stage = Literal["pages", "passages"]
OnProgress = Callable[[Stage, int, "int | None"], None]
"""Told what is counted inside of one file, how many are done, and of how many (None: unknown)."""


@dataclass(frozen=True)
class IndexCounts:
    """Files by what became of them; ``tokens`` and ``seconds`` are of the newly indexed ones."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    skipped: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stored_bytes: int = 0


@dataclass(frozen=True)
class IndexEvent:
    """One step of indexing.

    Attributes:
        kind: "found" first (``total`` files); per file "reading", "loading" the model,
            "compressing" (``done`` of ``total`` tokens), then one of "indexed", "unchanged",
            "failed" or "skipped"; and "done" last.
        source: the file, as printed.
        done, total: progress; ``total`` is None if unknown.
        record: the document, for "indexed" and "unchanged".
        changed: for "indexed": the file had been indexed before.
        reason: for "failed" and "skipped", one sentence.
        warnings: what the reader noticed.
        seconds: time that this file took.
        counts: for "done".
    """

    kind: EventKind
    source: str = ""
    done: int = 0
    total: int | None = None
    record: DocumentRecord | None = None
    changed: bool = False
    reason: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    counts: IndexCounts | None = None
