"""Tokens of a chunk with their character offsets, packed for the catalogue.

Node spans are not stored: ``ContextTree`` derives their tokens from the geometry, and the offsets
here turn any token span into characters. About 4 bytes per token after compression.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sharedcli.store.records import ChunkSpan

INT32 = np.dtype("<i4")


@dataclass(frozen=True)
class ChunkTokens:
    """Token ids of one chunk and where each lies in the document's text.

    Attributes:
        token_start: position of the chunk's first token in the document.
        token_ids: int32 of shape [T].
        char_spans: int32 of shape [T, 2], half-open; tokens may share characters.
    """

    token_start: int
    token_ids: NDArray[np.int32]
    char_spans: NDArray[np.int32]

    def __post_init__(self) -> None:
        ids = np.ascontiguousarray(self.token_ids, dtype=INT32)
        spans = np.ascontiguousarray(self.char_spans, dtype=INT32)
        if ids.ndim != 1 or not len(ids) or spans.shape != (len(ids), 2):
            raise ValueError(f"token ids {ids.shape} and spans {spans.shape} do not fit")
        if self.token_start < 0 or spans.min() < 0 or (spans[:, 0] > spans[:, 1]).any():
            raise ValueError("token and character spans must be ordered and not negative")
        object.__setattr__(self, "token_ids", ids)
        object.__setattr__(self, "char_spans", spans)

    @property
    def token_end(self) -> int:
        """One past the chunk's last token."""
        return self.token_start + len(self.token_ids)

    def char_span(self, token_start: int, token_end: int) -> tuple[int, int]:
        """Return the characters that tokens ``[token_start, token_end)`` of the document cover."""
        if not self.token_start <= token_start < token_end <= self.token_end:
            raise IndexError(f"tokens [{token_start}, {token_end}) are not in this chunk")
        part = self.char_spans[token_start - self.token_start : token_end - self.token_start]
        return int(part[:, 0].min()), int(part[:, 1].max())

    def char_spans_from(self, token_starts: Sequence[int]) -> list[tuple[int, int]]:
        """``char_span`` of neighbours: each from its start to the next one's, or to the end.

        Raises:
            IndexError: starts that are not in this chunk, or not ascending.
        """
        firsts = np.asarray(token_starts) - self.token_start
        if not len(firsts) or firsts[0] < 0 or firsts[-1] >= len(self.token_ids):
            raise IndexError(f"tokens from {list(token_starts)} are not in this chunk")
        if (np.diff(firsts) <= 0).any():
            raise IndexError(f"tokens from {list(token_starts)} are not in order")
        starts = np.minimum.reduceat(self.char_spans[:, 0], firsts)
        ends = np.maximum.reduceat(self.char_spans[:, 1], firsts)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    def span(self, index: int) -> ChunkSpan:
        """Return the chunk's own spans, as chunk number ``index``."""
        chars = self.char_span(self.token_start, self.token_end)
        return ChunkSpan(index, self.token_start, self.token_end, *chars)

    def pack(self) -> bytes:
        """Return ids, then steps between starts, then lengths, as compressed little-endian int32.

        Steps and lengths are small numbers, which is what makes them compress.
        """
        starts = np.diff(self.char_spans[:, 0], prepend=INT32.type(0))
        lengths = self.char_spans[:, 1] - self.char_spans[:, 0]
        return pack_arrays(self.token_ids, starts, lengths)

    @classmethod
    def unpack(cls, token_start: int, packed: bytes) -> ChunkTokens:
        """Undo ``pack``. ``packed`` must have been verified."""
        ids, steps, lengths = unpack_array(packed).reshape(3, -1)
        starts = np.cumsum(steps, dtype=INT32)
        return cls(token_start, ids, np.stack([starts, starts + lengths], axis=1))


def pack_arrays(*arrays: NDArray[np.int32]) -> bytes:
    """Compress arrays of int32, one after the other."""
    return zlib.compress(b"".join(array.astype(INT32, copy=False).tobytes() for array in arrays))


def unpack_array(packed: bytes) -> NDArray[np.int32]:
    """Undo ``pack_arrays`` into one flat, read-only array."""
    return np.frombuffer(zlib.decompress(packed), dtype=INT32)
