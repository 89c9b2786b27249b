"""Tokens' keys and values become slots: uniform down-sampling or pooling of windows.

One rule for all layers and heads: K and V of a slot come from the same tokens. Differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.geometry import SlotChoice
from sharedcli.tree.windows import Window, node_windows


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


def derive_slots(
    keys: Tensor, values: Tensor, groups: Sequence[Window], choice: SlotChoice
) -> tuple[Tensor, Tensor]:
    """Reduce a nested tree's deepest slots [..., S, D] to one per group of neighbours.

    The first or last of a group stands for it, or the mean of all (for "mean" and "pooled").
    """
    if choice in ("first", "last"):
        picked = [start if choice == "first" else end - 1 for start, end in groups]
        index = torch.tensor(picked, device=keys.device)
        return keys.index_select(-2, index), values.index_select(-2, index)
    weights = torch.zeros(len(groups), keys.shape[-2], device=keys.device, dtype=keys.dtype)
    for row, (start, end) in enumerate(groups):
        weights[row, start:end] = 1 / (end - start)
    return weights @ keys, weights @ values


def kept_offsets(tree: ContextTree, node: Node) -> Tensor:
    """Document offset [S] of the token that each slot of ``node`` is placed at."""
    first = tree.geometry.slot_choice == "first"
    return torch.tensor([a if first else b - 1 for a, b in node_windows(tree, node)])
