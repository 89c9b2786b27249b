"""The slots of chosen nodes: read from the store, or made anew where it keeps none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import Compressor, NodeSlots, assemble
from sharedcli.model.slots import derive_slots, kept_offsets
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.store.identity import RECOMPUTE
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
    compressor: Compressor | None = None,
) -> CompressedKV:
    """Return the slots of all ``frontiers`` as one context, chunks numbered in their order.

    Documents stand one behind the other, as if they were one text. ``compressor`` makes the slots
    of documents that are stored without them; only opened chunks are read again.
    """
    parts = []
    for doc_id, group in groupby(frontiers, key=lambda frontier: frontier.doc_id):
        chunks, tree = list(group), trees[doc_id]
        if store.identity(doc_id).slot_format == RECOMPUTE:
            assert compressor is not None
            parts.append(assemble(_made(store, tree, chunks, compressor)))
        else:
            parts.append(assemble([_chunk(store, tree, chunk, dtype) for chunk in chunks]))
    return CompressedKV.cat(parts)


@torch.inference_mode()
def _made(
    store: Store, tree: ContextTree, chunks: Sequence[ChunkFrontier], compressor: Compressor
) -> list[list[NodeSlots]]:
    """Slots of each chunk's opened nodes, from the stored tokens."""
    tokens = torch.zeros(tree.tokens, dtype=torch.long)
    for chunk in chunks:
        kept = store.chunk_tokens(chunk.doc_id, chunk.chunk)
        ids = torch.from_numpy(kept.token_ids.astype(np.int64))
        tokens[kept.token_start : kept.token_end] = ids
    wanted = [(0, node) for chunk in chunks for node in chunk.nodes]
    made = compressor.compress_nodes([tokens], [tree], wanted)
    return [[made[0, node] for node in chunk.nodes] for chunk in chunks]


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
