"""Answer questions about long documents on your own machine, with page citations.

    from sharedcli import Engine, load_settings

    with Engine(load_settings({"store": "trees"})) as engine:
        for event in engine.index(["report.pdf"]):
            print(event.kind, event.source)
        answer = engine.ask("What were the net sales?")
        for piece in answer:
            print(piece, end="", flush=True)
        print(answer.sources)

Names are imported when they are first used (PEP 562): ``import sharedcli`` takes no time and never
imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer, Evidence, OpenedChunk, Timings, Usage
    from sharedcli.answer.citations import Citation
    from sharedcli.answer.corrections import Correction
    from sharedcli.engine.engine import Engine
    from sharedcli.engine.events import Estimate, IndexCounts, IndexEvent
    from sharedcli.engine.filters import Filters
    from sharedcli.errors import (
        CorruptionError,
        DocumentError,
        EncryptedError,
        LimitError,
        ModelMismatchError,
        ModelMissingError,
        NoStoreError,
        NoTextError,
        NotInDocumentsError,
        OutOfMemoryError,
        SharedCLIError,
        SomeFilesFailedError,
        StoreLockedError,
        UnreadableError,
        UsageError,
    )
    from sharedcli.ingest.document import Document, Page
    from sharedcli.ingest.limits import Limits
    from sharedcli.ingest.reader import read_document
    from sharedcli.settings import Settings, load_settings
    from sharedcli.store.records import DocumentRecord, FailedFile
    from sharedcli.store.store import Store

__version__ = "0.1.0"

_PLACES = {
    "sharedcli.answer.answer": ("Answer", "Evidence", "OpenedChunk", "Timings", "Usage"),
    "sharedcli.answer.citations": ("Citation",),
    "sharedcli.answer.corrections": ("Correction",),
    "sharedcli.engine.engine": ("Engine",),
    "sharedcli.engine.events": ("Estimate", "IndexCounts", "IndexEvent"),
    "sharedcli.engine.filters": ("Filters",),
    "sharedcli.errors": (
        "CorruptionError",
        "DocumentError",
        "EncryptedError",
        "LimitError",
        "ModelMismatchError",
        "ModelMissingError",
        "NoStoreError",
        "NoTextError",
        "NotInDocumentsError",
        "OutOfMemoryError",
        "SharedCLIError",
        "SomeFilesFailedError",
        "StoreLockedError",
        "UnreadableError",
        "UsageError",
    ),
    "sharedcli.ingest.document": ("Document", "Page"),
    "sharedcli.ingest.limits": ("Limits",),
    "sharedcli.ingest.reader": ("read_document",),
    "sharedcli.settings": ("Settings", "load_settings"),
    "sharedcli.store.records": ("DocumentRecord", "FailedFile"),
    "sharedcli.store.store": ("Store",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Answer",
    "Citation",
    "Correction",
    "CorruptionError",
    "Document",
    "DocumentError",
    "DocumentRecord",
    "EncryptedError",
    "Engine",
    "Estimate",
    "Evidence",
    "FailedFile",
    "Filters",
    "IndexCounts",
    "IndexEvent",
    "LimitError",
    "Limits",
    "ModelMismatchError",
    "ModelMissingError",
    "NoStoreError",
    "NoTextError",
    "NotInDocumentsError",
    "OpenedChunk",
    "OutOfMemoryError",
    "Page",
    "Settings",
    "SharedCLIError",
    "SomeFilesFailedError",
    "Store",
    "StoreLockedError",
    "Timings",
    "UnreadableError",
    "Usage",
    "UsageError",
    "__version__",
    "load_settings",
    "read_document",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
