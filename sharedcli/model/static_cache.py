"""Keys and values of one stream of running text, in place: injected slots first, then the tokens.

Memory is laid out once for the length expected and grows by half when that is not enough, so a
decoded token writes two rows a layer and copies nothing. Keys are as the reordered key matrix makes
them (``merged_layers.py``).

What lies behind the last token, up to the next multiple of ``STEP``, is seen by attention and
masked: so a token's attention runs over the same shapes whether it is decoded alone or together
with others, which its result must not depend on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sharedcli.model.injected import InjectedKV
from sharedcli.model.merged_layers import Shape

STEP = 64


def round_up(length: int) -> int:
    """The next multiple of ``STEP``."""
    return -(-length // STEP) * STEP


class StaticCache:
    """Keys and values [2, K, length, D] of each layer, in ``layers``.

    A group's tokens stand together in memory: what a decoded token reads has left the processor's
    caches since the last one, and comes back faster in one piece.
    """

    def __init__(
        self,
        layers: int,
        shape: Shape,
        dtype: torch.dtype,
        injected: InjectedKV | None,
        capacity: int,
    ) -> None:
        """Room for ``capacity`` tokens beside the slots of ``injected``."""
        self.capacity = round_up(capacity)
        self.slots = [
            injected.slots if injected is not None and injected.reaches(index) else 0
            for index in range(layers)
        ]
        groups, dim = shape.groups, shape.head_dim
        # Zeros: what is masked is still multiplied by nothing, and must be a number.
        self.layers = [
            torch.zeros(2, groups, round_up(slots + self.capacity), dim, dtype=dtype)
            for slots in self.slots
        ]
        order = shape.key_rows()[:dim]  # of one group; all are alike
        for index, slots in enumerate(self.slots):
            if slots and injected is not None:
                self.layers[index][0, :, :slots] = injected.keys[index][0][..., order]
                self.layers[index][1, :, :slots] = injected.values[index][0]

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` tokens in all."""
        if tokens <= self.capacity:
            return
        self.capacity = round_up(max(tokens, self.capacity * 3 // 2))
        for index, old in enumerate(self.layers):
            length = round_up(self.slots[index] + self.capacity)
            self.layers[index] = old.new_zeros(*old.shape[:2], length, old.shape[3])
            self.layers[index][:, :, : old.shape[2]] = old

    def write(self, layer: int, seen: int, new: Tensor) -> None:
        """Put keys and values [2, K, R, D] of tokens behind the first ``seen``."""
        place = self.slots[layer] + seen
        self.layers[layer][:, :, place : place + new.shape[2]] = new

    def views(self, tokens: int) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [1, K, length, D] of each layer for ``tokens`` tokens in all."""
        ends = [round_up(slots + tokens) for slots in self.slots]
        return [
            (layer[:1, :, :end], layer[1:, :, :end])
            for layer, end in zip(self.layers, ends, strict=True)
        ]
