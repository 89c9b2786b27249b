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
    """Keys and values [1, K, length, D] of each layer, token by token in memory."""

    def __init__(
        self,
        layers: int,
        shape: Shape,
        dtype: torch.dtype,
        injected: InjectedKV | None,
        capacity: int,
    ) -> None:
        """Room for ``capacity`` tokens beside the slots of ``injected``."""
        self._shape = shape
        self.capacity = round_up(capacity)
        self.slots = [
            injected.slots if injected is not None and injected.reaches(index) else 0
            for index in range(layers)
        ]
        size = shape.key_size
        # Zeros: what is masked is still multiplied by nothing, and must be a number.
        self.keys = [
            torch.zeros(round_up(slots + self.capacity), size, dtype=dtype) for slots in self.slots
        ]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        rows = shape.key_rows()
        for index, slots in enumerate(self.slots):
            if slots and injected is not None:
                keys, values = injected.keys[index][0], injected.values[index][0]
                self.keys[index][:slots] = keys.transpose(0, 1).reshape(slots, size)[:, rows]
                self.values[index][:slots] = values.transpose(0, 1).reshape(slots, size)

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` tokens in all."""
        if tokens <= self.capacity:
            return
        self.capacity = round_up(max(tokens, self.capacity * 3 // 2))
        for parts in (self.keys, self.values):
            for index, slots in enumerate(self.slots):
                old = parts[index]
                parts[index] = old.new_zeros(round_up(slots + self.capacity), old.shape[1])
                parts[index][: len(old)] = old

    def views(self, tokens: int) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each layer as attention takes them, for ``tokens`` tokens in all."""
        shape = (self._shape.groups, self._shape.head_dim)
        return [
            tuple(  # type: ignore[misc]
                part[: round_up(slots + tokens)].view(-1, *shape).transpose(0, 1)[None]
                for part in (keys, values)
            )
            for slots, keys, values in zip(self.slots, self.keys, self.values, strict=True)
        ]
