"""Segments: the tensors of consecutive chunks gathered into one blob.

Notable choices:
- A segment is closed at about 16 MB: writing holds a few copies of it, and never a whole document.
- The digest of a tensor covers document, chunk, name, format and shape besides the bytes: a tensor
  that is swapped with a sound one of another document does not verify either.
- Reading takes the bytes of the asked tensors and nothing else of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import save
from torch import Tensor

from sharedcli.errors import CorruptionError
from sharedcli.store.blobs import BlobFiles, parse_header
from sharedcli.store.digests import digest
from sharedcli.store.quantize import Encoded, code_shapes, decode

SEGMENT_BYTES = 16 << 20
SCALES = ".scales"


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's bytes lie in its blob, and their seal."""

    format: str
    shape: tuple[int, ...]
    codes: tuple[int, int]
    scales: tuple[int, int] | None
    sha256: str

    def to_json(self) -> list[object]:
        """Plain values, in the order of the fields."""
        return [self.format, self.shape, self.codes, self.scales, self.sha256]

    @classmethod
    def from_json(cls, values: list[object]) -> StoredTensor:
        """Undo ``to_json``. The text was verified, so its form is known."""
        slot_format, shape, codes, scales, sha256 = values
        return cls(slot_format, tuple(shape), tuple(codes), scales and tuple(scales), sha256)  # type: ignore[arg-type]


def directory_to_json(tensors: Mapping[str, StoredTensor]) -> str:
    """Write a chunk's tensor directory."""
    plain = {name: tensor.to_json() for name, tensor in tensors.items()}
    return json.dumps(plain, separators=(",", ":"), sort_keys=True)


def directory_from_json(text: str) -> dict[str, StoredTensor]:
    """Read a chunk's tensor directory, which must have been verified."""
    return {name: StoredTensor.from_json(value) for name, value in json.loads(text).items()}


@dataclass
class Segment:
    """Encoded tensors on their way to a blob."""

    doc_id: str
    chunks: dict[int, dict[str, Encoded]] = field(default_factory=dict)
    size: int = 0

    def add(self, chunk: int, tensors: Mapping[str, Encoded]) -> None:
        """Append a chunk's tensors.

        Copies of this thread's: what is kept amid the large temporary tensors of the thread that
        made it would keep the allocator from putting the next ones in their place.
        """
        self.chunks[chunk] = {name: _copied(encoded) for name, encoded in tensors.items()}
        self.size += sum(_size(encoded) for encoded in tensors.values())

    @property
    def full(self) -> bool:
        """True when it is time to write."""
        return self.size >= SEGMENT_BYTES

    def serialize(self) -> tuple[bytes, dict[int, dict[str, StoredTensor]]]:
        """Return the safetensors file and each chunk's tensor directory."""
        flat: dict[str, Tensor] = {}
        for chunk, tensors in self.chunks.items():
            for name, encoded in tensors.items():
                flat[_blob_name(chunk, name)] = encoded.codes
                if encoded.scales is not None:
                    flat[_blob_name(chunk, name) + SCALES] = encoded.scales.contiguous()
        # One metadata entry only: safetensors writes several in random order, and the same
        # document must give the same bytes.
        data = save(flat, metadata={"sharedcli.document": self.doc_id})
        spans = parse_header(data)
        view = memoryview(data)
        return data, {
            chunk: {
                name: self._stored(chunk, name, encoded, spans, view)
                for name, encoded in tensors.items()
            }
            for chunk, tensors in self.chunks.items()
        }

    def _stored(
        self,
        chunk: int,
        name: str,
        encoded: Encoded,
        spans: Mapping[str, tuple[int, int]],
        data: memoryview,
    ) -> StoredTensor:
        codes = spans[_blob_name(chunk, name)]
        scales = spans.get(_blob_name(chunk, name) + SCALES) if encoded.scales is not None else None
        pieces = [
            data[offset : offset + length] for offset, length in filter(None, (codes, scales))
        ]
        seal = _seal(self.doc_id, chunk, name, encoded, pieces)
        return StoredTensor(encoded.format, encoded.shape, codes, scales, seal)


def read_tensors(
    blobs: BlobFiles,
    blob: tuple[str, int],
    doc_id: str,
    chunk: int,
    tensors: Mapping[str, StoredTensor],
    *,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Read and verify tensors of one chunk from the blob ``(sha256, size)``.

    Raises:
        FileNotFoundError: the blob is gone.
        CorruptionError: bytes do not match their digest, or do not fit the shape.
    """
    found = read_encoded(blobs, blob, doc_id, chunk, tensors)
    return {name: decode(encoded, dtype) for name, encoded in found.items()}


def read_encoded(
    blobs: BlobFiles,
    blob: tuple[str, int],
    doc_id: str,
    chunk: int,
    tensors: Mapping[str, StoredTensor],
) -> dict[str, Encoded]:
    """Like ``read_tensors``, in the format that they are stored in."""
    spans = [span for tensor in tensors.values() for span in (tensor.codes, tensor.scales) if span]
    pieces = iter(blobs.read(*blob, spans))
    found = {}
    for name, tensor in tensors.items():
        parts = [next(pieces) for _ in range(2 if tensor.scales else 1)]
        if _seal(doc_id, chunk, name, tensor, parts) != tensor.sha256:
            raise CorruptionError(f"tensor {name} of chunk {chunk} does not match its digest")
        found[name] = _restored(tensor, parts, f"{name} of chunk {chunk}")
    return found


def _restored(tensor: StoredTensor, parts: list[bytearray], what: str) -> Encoded:
    shapes = code_shapes(tensor.format, tensor.shape)
    arrays = []
    for part, expected in zip(parts, shapes, strict=False):
        if expected is None:
            raise CorruptionError(f"tensor {what} has scales that its format has not")
        dtype, shape = expected
        if len(part) != torch.Size(shape).numel() * dtype.itemsize:
            raise CorruptionError(f"tensor {what} has a wrong number of bytes")
        flat = torch.frombuffer(part, dtype=dtype) if part else torch.empty(0, dtype=dtype)
        arrays.append(flat.reshape(shape))
    return Encoded(tensor.format, tensor.shape, *arrays)


def _seal(
    doc_id: str,
    chunk: int,
    name: str,
    form: Encoded | StoredTensor,
    pieces: list[memoryview] | list[bytearray],
) -> str:
    return digest("tensor", doc_id, chunk, name, form.format, len(form.shape), *form.shape, *pieces)


def _blob_name(chunk: int, name: str) -> str:
    return f"{chunk:08d}.{name}"


def _copied(encoded: Encoded) -> Encoded:
    scales = None if encoded.scales is None else encoded.scales.clone()
    return replace(encoded, codes=encoded.codes.clone(), scales=scales)


def _size(encoded: Encoded) -> int:
    total = encoded.codes.nbytes
    return total + (encoded.scales.nbytes if encoded.scales is not None else 0)
