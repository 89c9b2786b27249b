"""What a model's files contain, as SHA-256: the identity that context trees are checked against.

Notable choices:
- Weights are hashed by content (name, dtype, shape and bytes of each tensor, in name order), so
  that resharding a checkpoint or other metadata does not make it another model.
- A digest is remembered per file by path, size and modification time, because hashing gigabytes
  at every start would cost more than loading them.

It knows nothing of models: only of files.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from sharedcli.errors import CorruptionError

_BLOCK = 1 << 20
_HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors library itself


def stream_sha256(stream: IO[bytes]) -> str:
    """Hex SHA-256 of what is left in ``stream``, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path, cache: Path) -> str:
    """Hex SHA-256 of the file's bytes, remembered in the folder ``cache``."""
    return _remembered(path, cache, "bytes", _hash_bytes)


def weights_sha256(files: list[Path], cache: Path | None) -> str:
    """Hex SHA-256 over all tensors of the safetensors ``files``, however they are sharded.

    With ``cache`` None nothing is remembered: for files that are about to move.

    Raises:
        CorruptionError: a file is not valid safetensors.
    """
    lines: list[str] = []
    for path in files:
        content = (
            _remembered(path, cache, "tensors", _hash_tensors) if cache else _hash_tensors(path)
        )
        lines.extend(content.split("\n"))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _hash_bytes(path: Path) -> str:
    with path.open("rb") as stream:
        return stream_sha256(stream)


def _hash_tensors(path: Path) -> str:
    """One line per tensor: name, dtype, shape, digest of its bytes."""
    try:
        with path.open("rb") as stream:
            header, start = _read_header(stream)
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return "\n".join(_tensor_lines(header, data, start))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptionError(
            f"{path} is not a whole safetensors file ({error}); get the model again"
        ) from error


def _read_header(stream: IO[bytes]) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(stream.read(8), "little")
    if size > _HEADER_LIMIT:
        raise ValueError(f"header of {size} bytes")
    header: dict[str, Any] = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    return header, 8 + size


def _tensor_lines(header: dict[str, Any], data: mmap.mmap, start: int) -> Iterator[str]:
    with memoryview(data) as view:
        for name, entry in header.items():
            first, last = (start + offset for offset in entry["data_offsets"])
            if not start <= first <= last <= len(view):
                raise ValueError(f"cut short inside tensor {name!r}")
            with view[first:last] as part:
                digest = hashlib.sha256(part).hexdigest()
            yield json.dumps([name, entry["dtype"], entry["shape"], digest])


def _remembered(path: Path, cache: Path, kind: str, compute: Callable[[Path], str]) -> str:
    path = path.absolute()
    stat = path.stat()
    key = [kind, str(path), stat.st_size, stat.st_mtime_ns]
    note = cache / "digests" / (hashlib.sha256(f"{kind}:{path}".encode()).hexdigest() + ".json")
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["key"] == key and isinstance(known["digest"], str):
            return str(known["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not hashed yet, or an unreadable note: hash again
    digest = compute(path)
    write_note(note, {"key": key, "digest": digest})
    return digest


def write_note(note: Path, content: dict[str, Any]) -> None:
    """Write what saves work the next time. Best effort: a read-only cache is no error."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=note.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        Path(name).replace(note)
    except OSError:
        return
