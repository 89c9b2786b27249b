"""What a forward pass of the base is told beyond its tokens: role, slots to inject, keys to keep.

One keyword, ``shared``, carries it through the base's layers down to their attention function: all
Llama-style layers of ``transformers`` hand on keywords that they do not know. It belongs to the
call, not to the model, so a call without it is the plain base, calls cannot leak into each other,
and a layer that gradient checkpointing runs again is told the same as the first time.

Shapes: M injected layers, B batch, K key/value heads, S slots, D head dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Role = Literal["compressor", "decoder"]


@dataclass(frozen=True)
class InjectedKV:
    """Slots rotated to their places: made once per question, constant while decoding.

    Attributes:
        keys, values: one tensor [B, K, S, D] for each of the M injected layers.
        valid: False where padded, [B, S], or None.
        joint: True if the slots join self-attention, False if they are read by cross-attention.
        start: position of the first running token, [B].
        query_angles: cosine and sine [B, 1, 1, R] for cross-attention's queries, else None.
        bias: added to the logits of all slots, [H] per layer; None if the adapter has none.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    valid: Tensor | None
    joint: bool
    start: Tensor
    query_angles: tuple[Tensor, Tensor] | None = None
    bias: tuple[Tensor, ...] | None = None

    @property
    def slots(self) -> int:
        """S: slots per context, padding included."""
        return self.keys[0].shape[-2] if self.keys else 0

    def reaches(self, layer: int) -> bool:
        """Tell whether ``layer`` sees any slot."""
        return layer < len(self.keys) and self.slots > 0


class KVCollector:
    """Keeps the rotated keys and values [B, K, T, D] that the lowest ``layers`` layers compute."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def take(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Keep what ``layer`` computed. A checkpointed layer comes twice; the first time counts."""
        if layer < self.layers:
            self._kept.setdefault(layer, (key, value))

    def collected(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values, lowest layer first."""
        return [self._kept[layer] for layer in range(self.layers)]


@dataclass(frozen=True)
class LayerCall:
    """The value of the keyword ``shared``.

    Attributes:
        owner: whose hooks are meant, since several adapters may be attached to one base.
        role: whose low-rank updates act; None for the base without updates.
        injected: slots to read, or None.
        collect: where to keep keys and values, or None.
        blind: queries that do not see the slots, [B, T]; None if all do.
    """

    owner: object
    role: Role | None = None
    injected: InjectedKV | None = None
    collect: KVCollector | None = None
    blind: Tensor | None = None
