"""Attention of a text's first tokens over slots and over each other, without a mask.

Given a mask, attention computes every pair and then forgets those above the diagonal. Told that it
is causal, it skips most of them.
"""

from __future__ import annotations

from torch import Tensor

from sharedcli.model.block_attention import causal


def behind_slots(query: Tensor, keys: Tensor, values: Tensor, slots: int, sinks: int) -> Tensor:
    """Attention's results [B, H, T, D].

    Args:
        query: of T tokens, [B, H, T, D].
        keys, values: first those of the slots, then the tokens' own, [B, K, slots + T or more, D].
        slots: seen by all tokens but the first ``sinks``, which stay the attention sink that the
            base knows.
        sinks: number of tokens.
    """
    mixed = causal(query, keys, values, before=slots)
    if slots and sinks:
        own = slice(slots, slots + sinks)
        mixed[:, :, :sinks] = causal(query[:, :, :sinks], keys[:, :, own], values[:, :, own])
    return mixed
