"""Slots of a tree's nodes: what the compressor makes of them, and many of them as one context.

Shapes: M layers, K key/value heads, S slots, D head size, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sharedcli.model.compressed import CompressedKV
from sharedcli.tree.context_tree import Node

Frontier = tuple[Node, ...]


@dataclass(frozen=True)
class NodeSlots:
    """Slots of one node: keys (unrotated) and values [M, K, S, D]; offsets [S].

    ``local`` counts tokens from the start of the encoded sequence, ``place`` from the document's.
    ``summary`` is the node's search vector [E].
    """

    node: Node
    keys: Tensor
    values: Tensor
    local: Tensor
    place: Tensor
    summary: Tensor


@dataclass(frozen=True)
class ChunkSlots:
    """What is stored of one chunk.

    ``levels``: unrotated keys and values [M, K, S, D] of each stored level, its nodes side by side;
    with nested levels only the deepest that is stored. ``summaries`` [N, E] of all stored nodes, in
    tree order.
    """

    levels: dict[int, tuple[Tensor, Tensor]]
    summaries: Tensor


def assemble(chunks: Sequence[Sequence[NodeSlots]]) -> CompressedKV:
    """Join the slots of opened chunks, in reading order, into one context (batch of 1).

    Chunks are numbered 0, 1, 2, ... as they come: the numbers are the slots' positions.
    """
    nodes = [slots for chunk in chunks for slots in chunk]
    if not nodes:
        raise ValueError("nothing to assemble: no node was chosen")
    device = nodes[0].keys.device
    number = [
        torch.full((slots.keys.shape[2],), index, device=device)
        for index, chunk in enumerate(chunks)
        for slots in chunk
    ]
    first = min(slots.node.start for slots in nodes)
    tokens = sum(slots.node.tokens for slots in nodes)
    return CompressedKV(
        keys=torch.cat([slots.keys for slots in nodes], dim=2)[:, None],
        values=torch.cat([slots.values for slots in nodes], dim=2)[:, None],
        chunk=torch.cat(number)[None],
        local=torch.cat([slots.local for slots in nodes])[None],
        place=torch.cat([slots.place for slots in nodes])[None] - first,
        chunks=torch.tensor([len(chunks)], device=device),
        tokens=torch.tensor([max(tokens, max(s.node.end for s in nodes) - first)], device=device),
    )
