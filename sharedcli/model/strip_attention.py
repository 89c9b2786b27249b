"""Attention within strips of chunks: each sees its lead and itself, see ``tree/strips.py``.

Shapes: B sequences, H query heads, K key/value heads, T tokens, D head size.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from sharedcli.model.block_attention import causal, masked
from sharedcli.tree.strips import Strip


def attend(
    strip: Strip, query: Tensor, keys: Tensor, values: Tensor, *, scale: float | None = None
) -> Tensor:
    """Attention's results [B, H, T, D].

    Args:
        strip: of the T tokens.
        query, keys, values: [B, H or K, T, D], rotated.
        scale: of scores; None for one over the square root of D.
    """
    parts = []
    for first, start, end in strip.views():
        own, read = (_from(whole, first, end) for whole in (keys, values))
        before = own.shape[2] - (end - start)
        part = causal(query[:, :, start:end], own, read, before=before, scale=scale)
        parts.append(part.transpose(1, 2))
    whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return whole.transpose(1, 2)


def attend_from(
    strip: Strip,
    places: Tensor,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    scale: float | None = None,
) -> Tensor:
    """As ``attend``, of the queries [B, H, S, D] at some ``places`` [S], in ascending order."""
    views = strip.views()
    edges = torch.tensor([start for _, start, _ in views] + [strip.tokens], device=places.device)
    bounds = torch.searchsorted(places, edges).tolist()
    parts = []
    for (first, _, end), (begin, stop) in zip(views, pairwise(bounds), strict=True):
        own, read = (_from(whole, first, end) for whole in (keys, values))
        key = torch.arange(end - own.shape[2], end, device=places.device)
        mask = key <= places[begin:stop, None]
        parts.append(masked(query[:, :, begin:stop], own, read, mask, scale=scale))
    return torch.cat(parts, dim=2)


def _from(whole: Tensor, first: int, end: int) -> Tensor:
    """Of [B, K, T, D] the tokens from ``first`` to the end, behind the first of all."""
    part = whole[:, :, first:end]
    return torch.cat((whole[:, :, :1], part), dim=2) if first else part


def seen(strip: Strip, places: Tensor) -> Tensor:
    """Which of the T tokens those at ``places`` [S] see, themselves included: [S, T]."""
    firsts = places.new_zeros(strip.tokens)
    for first, start, end in strip.views():
        firsts[start:end] = first
    key = torch.arange(strip.tokens, device=places.device)
    begun = (key >= firsts[places][:, None]) | (key == 0)
    return begun & (key <= places[:, None])
