"""``export``: one document's tree into one file. The form is in ``store/portable.py``."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from sharedcli.errors import UsageError
from sharedcli.store import durable, library, portable, rows
from sharedcli.store.blobs import BlobFiles
from sharedcli.store.catalogue import Catalogue
from sharedcli.store.reading import blob_of, reading_blobs
from sharedcli.store.segments import directory_from_json, read_encoded
from sharedcli.store.spans import INT32, ChunkTokens
from sharedcli.store.writer import SUMMARIES

_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal trees make equal files


def export(catalogue: Catalogue, doc_id: str, target: Path) -> int:
    """Write the file and return its size. It appears complete or not at all.

    Raises:
        NoStoreError: no such document.
        UsageError: ``target`` exists.
        CorruptionError: the stored tree is damaged.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already; delete it or choose another name")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with durable.translated(target):
            with zipfile.ZipFile(temporary, "x", zipfile.ZIP_STORED) as archive:
                _fill(archive, catalogue, doc_id)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            size = temporary.stat().st_size
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return size


class _Members:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.listed: dict[str, tuple[int, str]] = {}

    def add(self, name: str, data: bytes) -> None:
        self._archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        self.listed[name] = (len(data), hashlib.sha256(data).hexdigest())


def _fill(archive: zipfile.ZipFile, catalogue: Catalogue, doc_id: str) -> None:
    with catalogue.reading() as connection:
        entry = rows.entry(connection, doc_id)
        record = entry.record
        assert record is not None
        identity = rows.identity(connection, record)
        text, pages = rows.text(connection, entry)
        passages, vectors = library.passages(connection, entry)
        chunks = list(rows.chunks(connection, entry))
        sizes = dict(rows.segments(connection, entry))
    members = _Members(archive)
    members.add(portable.TEXT, rows.encode_text(text))
    spans = np.array([(p.page, p.start, p.end) for p in passages], dtype=INT32).reshape(-1, 3)
    members.add(
        portable.PASSAGES,
        save({portable.SPANS: _tensor(spans), portable.VECTORS: _tensor(vectors)}),
    )
    slot_size = 0
    with reading_blobs(catalogue, entry) as blobs:
        for row in chunks:
            data, slot_size = _chunk(blobs, sizes, doc_id, row)
            members.add(portable.chunk_member(row.span.index), data)
    manifest: dict[str, Any] = {
        "format": portable.FORMAT,
        "version": portable.VERSION,
        "id": record.id,
        "document": {
            "source": record.source,
            "title": record.title,
            "media_type": record.media_type,
            "sha256": record.document_sha256,
            "file_size": record.file_size,
            "mtime_ns": record.mtime_ns,
            "paged": record.paged,
            "warnings": list(record.warnings),
            "pages": [(page.number, page.label, page.start, page.end) for page in pages],
        },
        "identity": json.loads(identity.to_json()),
        "tokens": record.tokens,
        "chunks": record.chunks,
        "slot_size": slot_size,
        "members": members.listed,
    }
    members.add(portable.MANIFEST, json.dumps(manifest, indent=1).encode())


def _chunk(
    blobs: BlobFiles, sizes: dict[str, int], doc_id: str, row: rows.ChunkRow
) -> tuple[bytes, int]:
    """A chunk's member, and the size D of its slots."""
    span = row.span
    tokens = ChunkTokens.unpack(span.token_start, row.tokens)
    found = read_encoded(
        blobs, blob_of(sizes, row), doc_id, span.index, directory_from_json(row.tensors)
    )
    flat: dict[str, Tensor] = {
        portable.TOKEN_IDS: _tensor(tokens.token_ids),
        portable.CHAR_SPANS: _tensor(tokens.char_spans),
    }
    slot_size = 0
    for name, encoded in found.items():
        if name == SUMMARIES:
            flat[SUMMARIES] = encoded.codes
            continue
        slot_size = encoded.shape[-1]
        flat[portable.SLOTS + name] = encoded.codes
        if encoded.scales is not None:
            flat[portable.SCALES + name] = encoded.scales
    return save(flat), slot_size


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).copy())
