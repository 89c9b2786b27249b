"""``CompressedKV``: the key/value slots of one context, ready to be injected.

Keys are kept unrotated, with the positions that rotation needs beside them, so that the same slots
serve every key position mode and every place in a context.

Shapes: M injected layers, B batch, K key/value heads, S slots, D head dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

KeyPositionMode = Literal["chunk_only", "local_plus_chunk", "local_only", "slot_order", "document"]
"""Where slot keys stand (method paper, section 3.3, and where its code departs from it):

- ``chunk_only``: all slots of chunk i at position i (the paper);
- ``local_plus_chunk``: place in the encoded node plus i (the released code's intent);
- ``local_only``: place in the encoded node (the released code's effect);
- ``slot_order``: slots one after the other, as if they were all the text there is; interpolated
  where they would fill more than three quarters of the base's window (not in the paper);
- ``document``: the token's own place in the context (true positions; not in the paper).
"""


@dataclass(frozen=True)
class CompressedKV:
    """Slots of a batch of contexts.

    Attributes:
        keys: unrotated keys, [M, B, K, S, D].
        values: [M, B, K, S, D].
        chunk: index of each slot's chunk within the context, [B, S].
        local: place of each slot's token in the sequence that the compressor read, [B, S].
        place: place of each slot's token in the context, [B, S].
        valid: False where a shorter context was padded, [B, S]; None where nothing is padded.
        chunks: number of chunks of each context, [B].
        tokens: number of tokens that each context stands for, [B].
    """

    keys: Tensor
    values: Tensor
    chunk: Tensor
    local: Tensor
    place: Tensor
    chunks: Tensor
    tokens: Tensor
    valid: Tensor | None = None

    @property
    def slots(self) -> int:
        """S, padding included."""
        return self.keys.shape[-2]

    @property
    def layers(self) -> int:
        """M."""
        return self.keys.shape[0]

    def positions(self, mode: KeyPositionMode, room: int | None = None) -> tuple[Tensor, Tensor]:
        """Return key positions [B, S] and the position that follows them all [B].

        In ``chunk_only`` the latter is the number of chunks, as in the paper. In ``slot_order``
        more than ``room`` slots share its positions evenly: their places are interpolated.
        """
        if mode == "chunk_only":
            return self.chunk, self.chunks
        if mode == "document":
            return self.place, self.tokens
        if mode == "slot_order":
            order = torch.arange(self.slots, device=self.chunk.device).expand_as(self.chunk)
            shown = order if self.valid is None else order.masked_fill(~self.valid, -1)
            end = shown.amax(-1) + 1 if self.slots else torch.zeros_like(self.chunks)
            if room is None or not bool((end > room).any()):
                return order, end
            return order * (room / end.clamp(min=room))[:, None], end.clamp(max=room)
        keys = self.local if mode == "local_only" else self.local + self.chunk
        shown = keys if self.valid is None else keys.masked_fill(~self.valid, -1)
        return keys, shown.amax(dim=-1) + 1 if self.slots else torch.zeros_like(self.chunks)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> CompressedKV:
        """Move to ``device``; keys and values become ``dtype``."""
        return CompressedKV(
            keys=self.keys.to(device, dtype),
            values=self.values.to(device, dtype),
            chunk=self.chunk.to(device),
            local=self.local.to(device),
            place=self.place.to(device),
            chunks=self.chunks.to(device),
            tokens=self.tokens.to(device),
            valid=None if self.valid is None else self.valid.to(device),
        )

    def row(self, index: int) -> CompressedKV:
        """One context of the batch, without its padding."""
        one = slice(index, index + 1)
        kept = slice(None) if self.valid is None else self.valid[index].nonzero()[:, 0]
        return CompressedKV(
            keys=self.keys[:, one, :, kept],
            values=self.values[:, one, :, kept],
            chunk=self.chunk[one, kept],
            local=self.local[one, kept],
            place=self.place[one, kept],
            chunks=self.chunks[one],
            tokens=self.tokens[one],
        )

    def before(self, tokens: int) -> CompressedKV:
        """The slots of the first ``tokens`` tokens, a whole number of chunks (batch of 1)."""
        kept = int((self.place[0] < tokens).sum())
        chunk = self.chunk[:, :kept]
        return CompressedKV(
            keys=self.keys[:, :, :, :kept],
            values=self.values[:, :, :, :kept],
            chunk=chunk,
            local=self.local[:, :kept],
            place=self.place[:, :kept],
            chunks=chunk.amax(-1) + 1 if kept else torch.zeros_like(self.chunks),
            tokens=self.tokens.clamp(max=tokens),
        )

    @classmethod
    def empty(
        cls, layers: int, kv_heads: int, head_dim: int, device: torch.device, dtype: torch.dtype
    ) -> CompressedKV:
        """A context without a chunk (batch of 1): nothing is injected for it."""
        slots = torch.empty(layers, 1, kv_heads, 0, head_dim, device=device, dtype=dtype)
        places = torch.empty(1, 0, dtype=torch.long, device=device)
        none = torch.zeros(1, dtype=torch.long, device=device)
        return cls(slots, slots, places, places, places, none, none)

    @classmethod
    def cat(cls, parts: Sequence[CompressedKV]) -> CompressedKV:
        """Join contexts one behind the other (same batch): chunks are numbered on."""
        if any(part.valid is not None for part in parts):
            raise ValueError("join contexts before padding them into a batch")
        chunks = torch.stack([part.chunks for part in parts])
        tokens = torch.stack([part.tokens for part in parts])
        chunk_base = chunks.cumsum(0) - chunks
        token_base = tokens.cumsum(0) - tokens
        return cls(
            torch.cat([part.keys for part in parts], dim=-2),
            torch.cat([part.values for part in parts], dim=-2),
            torch.cat([p.chunk + b[:, None] for p, b in zip(parts, chunk_base, strict=True)], 1),
            torch.cat([part.local for part in parts], dim=1),
            torch.cat([p.place + b[:, None] for p, b in zip(parts, token_base, strict=True)], 1),
            chunks.sum(0),
            tokens.sum(0),
        )

    @classmethod
    def batch(cls, contexts: Sequence[CompressedKV]) -> CompressedKV:
        """Stack contexts along B, padding the shorter ones on the right."""
        width = max(context.slots for context in contexts)
        valid = torch.cat([_padded(_valid(context), width, 1) for context in contexts], dim=0)
        return cls(
            keys=torch.cat([_padded(context.keys, width, 3) for context in contexts], dim=1),
            values=torch.cat([_padded(context.values, width, 3) for context in contexts], dim=1),
            chunk=torch.cat([_padded(context.chunk, width, 1) for context in contexts]),
            local=torch.cat([_padded(context.local, width, 1) for context in contexts]),
            place=torch.cat([_padded(context.place, width, 1) for context in contexts]),
            chunks=torch.cat([context.chunks for context in contexts]),
            tokens=torch.cat([context.tokens for context in contexts]),
            valid=None if bool(valid.all()) else valid,
        )


def _valid(context: CompressedKV) -> Tensor:
    if context.valid is not None:
        return context.valid
    return torch.ones(context.chunk.shape, dtype=torch.bool, device=context.chunk.device)


def _padded(tensor: Tensor, width: int, dim: int) -> Tensor:
    missing = width - tensor.shape[dim]
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat((tensor, tensor.new_zeros(shape)), dim=dim)
