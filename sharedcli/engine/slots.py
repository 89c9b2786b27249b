"""Read the slots of chosen nodes from the store, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import NodeSlots, assemble
from sharedcli.model.slots import derive_slots, kept_offsets
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.windows import stored_groups


def stored_level(tree: ContextTree, node: Node) -> int:
    """The level whose tensors hold a node's slots: with nested levels only the deepest is kept."""
    return tree.geometry.depth if tree.geometry.levels == "nested" else node.level


def read_context(
    store: Store,
    frontiers: Sequence[ChunkFrontier],
    trees: Mapping[str, ContextTree],
    dtype: torch.dtype,
) -> CompressedKV:
    """Return the slots of all ``frontiers`` as one context, chunks numbered in their order.

    Documents stand one behind the other, as if they were one text.
    """
    return CompressedKV.cat(
        [
            assemble([_chunk(store, trees[doc_id], frontier, dtype) for frontier in chunks])
            for doc_id, chunks in groupby(frontiers, key=lambda frontier: frontier.doc_id)
        ]
    )


def _chunk(
    store: Store, tree: ContextTree, frontier: ChunkFrontier, dtype: torch.dtype
) -> list[NodeSlots]:
    levels = sorted({stored_level(tree, node) for node in frontier.nodes})
    names = [f"level{level}.{kind}" for level in levels for kind in ("keys", "values")]
    tensors = store.read_chunk(frontier.doc_id, frontier.chunk, names, dtype)
    return [_node(tree, node, tensors) for node in frontier.nodes]


def _node(tree: ContextTree, node: Node, tensors: Mapping[str, Tensor]) -> NodeSlots:
    level = stored_level(tree, node)
    groups = stored_groups(tree, node)
    first, last = groups[0][0], groups[-1][1]
    keys = tensors[f"level{level}.keys"][:, :, first:last]
    values = tensors[f"level{level}.values"][:, :, first:last]
    if len(groups) < last - first:
        inside = [(a - first, b - first) for a, b in groups]
        keys, values = derive_slots(keys, values, inside, tree.geometry.slot_choice)
    place = kept_offsets(tree, node)
    nested = tree.geometry.levels == "nested"
    start = tree.root(node.chunk).start if nested else node.start
    return NodeSlots(node, keys, values, place - start, place, keys.new_zeros(0))
