"""Tokens' keys and values become slots: uniform down-sampling or pooling of windows.

One rule for all layers and heads: K and V of a slot come from the same tokens. Differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sharedcli.tree.geometry import SlotChoice
from sharedcli.tree.windows import Window


def choose_slots(
    keys: Tensor,
    values: Tensor,
    windows: Sequence[Window],
    choice: SlotChoice,
    pool_query: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Reduce tokens to one slot per window.

    Args:
        keys, values: unrotated keys and values of the tokens, [M, B, K, T, D].
        windows: half-open token spans, one per slot, the same for the whole batch.
        choice: which token, or which mean of tokens, stands for its window.
        pool_query: [M, K, D], for "pooled": weights are softmax(k . query) within a window.

    Returns:
        keys and values [M, B, K, S, D] and the kept token's offset [S] (the window's last token
        for means: the slot has read that far).
    """
    device = keys.device
    starts = torch.tensor([start for start, _ in windows], device=device)
    ends = torch.tensor([end for _, end in windows], device=device)
    if choice in ("first", "last"):
        kept = starts if choice == "first" else ends - 1
        return keys.index_select(3, kept), values.index_select(3, kept), kept
    width = int((ends - starts).max())
    offsets = starts[:, None] + torch.arange(width, device=device)
    inside = offsets < ends[:, None]
    offsets = offsets.clamp(max=int(ends.max()) - 1)
    shape = (*keys.shape[:3], len(windows), width, keys.shape[-1])
    window_keys = keys.index_select(3, offsets.flatten()).view(shape)
    window_values = values.index_select(3, offsets.flatten()).view(shape)
    scores = torch.zeros(shape[:-1], device=device, dtype=torch.float32)
    if choice == "pooled":
        assert pool_query is not None
        query = pool_query[:, None, :, None, None, :].float()
        scores = (window_keys.float() * query).sum(-1) * keys.shape[-1] ** -0.5
    weights = scores.masked_fill(~inside, float("-inf")).softmax(-1).to(keys.dtype)[..., None, :]
    return (weights @ window_keys).squeeze(-2), (weights @ window_values).squeeze(-2), ends - 1
