"""Immutable files named by their SHA-256: ``blobs/ab/abcdef….safetensors``.

A reader never trusts a blob's own header for where a tensor lies: offsets come from the catalogue,
whose rows are sealed. ``parse_header`` serves the writer, which learns the offsets from it, and
``check``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sharedcli.errors import CorruptionError
from sharedcli.store import durable
from sharedcli.store.digests import is_sha256

BLOBS = "blobs"
TEMPORARY = "tmp"
SUFFIX = ".safetensors"
PART_SUFFIX = ".part"
_HEADER_LIMIT = 100 << 20  # safetensors' own limit


class BlobFiles:
    """The blob files of one store."""

    def __init__(self, store: Path) -> None:
        self._blobs = store / BLOBS
        self._temporary = store / TEMPORARY

    def path(self, sha256: str) -> Path:
        """Return where the blob lies. ``CorruptionError`` if that is no digest."""
        if not is_sha256(sha256):
            raise CorruptionError(f"a blob cannot be named {str(sha256)[:80]!r}")
        return self._blobs / sha256[:2] / (sha256 + SUFFIX)

    def write(self, data: bytes) -> str:
        """Store ``data`` durably and return its SHA-256.

        A file of that name is replaced rather than kept: it may be damaged, and writing again is
        how it is repaired.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        temporary = self._temporary / f"{sha256}.{os.getpid()}{PART_SUFFIX}"
        durable.write_file(temporary, self.path(sha256), data)
        return sha256

    def read(self, sha256: str, size: int, spans: Sequence[tuple[int, int]]) -> list[bytearray]:
        """Read the ``(offset, length)`` spans of a blob that must be ``size`` bytes long.

        Raises:
            FileNotFoundError: the blob is gone.
            CorruptionError: the file has another size, or a span lies outside it.
        """
        with self.path(sha256).open("rb", buffering=0) as file:
            if (found := os.fstat(file.fileno()).st_size) != size:
                raise CorruptionError(f"blob {sha256[:12]} has {found:,} bytes instead of {size:,}")
            pieces = []
            for offset, length in spans:
                if offset < 0 or length < 0 or offset + length > size:
                    raise CorruptionError(f"a tensor lies outside of blob {sha256[:12]}")
                file.seek(offset)
                pieces.append(_read_fully(file, length, sha256))
            return pieces

    def verify(self, sha256: str, size: int) -> None:
        """Read all of a blob and compare size, digest and header. ``CorruptionError`` if not."""
        state = hashlib.sha256()
        found = 0
        with self.path(sha256).open("rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                state.update(piece)
                found += len(piece)
        if found != size:
            raise CorruptionError(f"blob {sha256[:12]} has {found:,} bytes instead of {size:,}")
        if state.hexdigest() != sha256:
            raise CorruptionError(f"blob {sha256[:12]} does not match its digest")

    def all(self) -> Iterator[tuple[str, Path]]:
        """Yield ``(sha256, path)`` of every blob file, and of nothing else that may lie there."""
        for path in self._blobs.glob("[0-9a-f][0-9a-f]/*" + SUFFIX):
            if is_sha256(path.stem) and path.parent.name == path.stem[:2]:
                yield path.stem, path

    def parts(self) -> Iterator[Path]:
        """Yield the temporary files of writers, alive or killed."""
        for path in self._temporary.glob("*" + PART_SUFFIX):
            if is_sha256(path.name.partition(".")[0]):
                yield path

    def remove(self, sha256: str) -> int:
        """Remove a blob; return the bytes freed (0 if there is none)."""
        return durable.remove_file(self.path(sha256))


def _read_fully(file: Any, length: int, sha256: str) -> bytearray:
    buffer = bytearray(length)
    view = memoryview(buffer)
    while view:
        count = file.readinto(view)
        if not count:
            raise CorruptionError(f"blob {sha256[:12]} ends too early")
        view = view[count:]
    return buffer


def parse_header(data: bytes) -> dict[str, tuple[int, int]]:
    """Return ``(offset, length)`` in the file of every tensor of safetensors ``data``.

    Raises:
        CorruptionError: the header is not one, or points outside ``data``.
    """
    length = int.from_bytes(data[:8], "little")
    base = 8 + length
    if len(data) < 8 or length > _HEADER_LIMIT or base > len(data):
        raise CorruptionError("a blob's header is longer than the blob")
    try:
        header = json.loads(data[8:base])
        entries = {
            name: entry["data_offsets"] for name, entry in header.items() if name[:2] != "__"
        }
        spans = {name: (base + int(a), int(b) - int(a)) for name, (a, b) in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptionError(f"a blob's header cannot be read: {error}") from error
    if any(a < base or n < 0 or a + n > len(data) for a, n in spans.values()):
        raise CorruptionError("a blob's header points outside the blob")
    return spans
