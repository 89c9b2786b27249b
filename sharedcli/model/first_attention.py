"""Attention of a text's first tokens over slots and over each other, without a mask.

Given a mask, attention computes every pair and then forgets those above the diagonal. Told that it
is causal, it skips most of them, but expects as many queries as keys: slots get empty queries,
which cost little, since each sees only the slots before it.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.nn import functional


def behind_slots(query: Tensor, keys: Tensor, values: Tensor, slots: int, sinks: int) -> Tensor:
    """Attention's results [G, K, T, D].

    Args:
        query: of T tokens, [G, K, T, D].
        keys, values: first those of the slots, then the tokens' own, [G, K, slots + T or more, D].
        slots: seen by all tokens but the first ``sinks``, which stay the attention sink that the
            base knows.
        sinks: number of tokens.
    """
    attend = partial(functional.scaled_dot_product_attention, is_causal=True)
    end = slots + query.shape[2]
    padded = functional.pad(query, (0, 0, slots, 0))
    mixed = attend(padded, keys[:, :, :end], values[:, :, :end])[:, :, slots:]
    if slots and sinks:
        own = slice(slots, slots + sinks)
        mixed[:, :, :sinks] = attend(query[:, :, :sinks], keys[:, :, own], values[:, :, own])
    return mixed
