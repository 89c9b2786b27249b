"""The slots of chosen nodes: read from the store, or made anew where it keeps none.

Coarse nodes of many chunks come from the store. A chunk that a question opens below the deepest
stored level is read again by the compressor, with its lead: detail costs a moment for the few
chunks that need it, and no place on the disk for all others.
"""

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
    """The level whose tensors hold a node's slots: with nested levels only one is kept."""
    return tree.geometry.deepest_stored if tree.geometry.levels == "nested" else node.level


def read_context(
    store: Store,
    frontiers: Sequence[ChunkFrontier],
    trees: Mapping[str, ContextTree],
    dtype: torch.dtype,
    compressor: Compressor | None = None,
) -> CompressedKV:
    """Return the slots of all ``frontiers`` as one context, chunks numbered in their order.

    Documents stand one behind the other, as if they were one text. ``compressor`` makes the slots
    that are not stored.
    """
    parts = []
    for doc_id, group in groupby(frontiers, key=lambda frontier: frontier.doc_id):
        chunks, tree = list(group), trees[doc_id]
        none = store.identity(doc_id).slot_format == RECOMPUTE
        again = [one for one in chunks if none or _is_deeper(tree, one)]
        made = _made(store, tree, again, compressor) if again else {}
        parts.append(
            assemble(
                [
                    made[one.chunk] if one.chunk in made else _chunk(store, tree, one, dtype)
                    for one in chunks
                ]
            )
        )
    return CompressedKV.cat(parts)


def _is_deeper(tree: ContextTree, frontier: ChunkFrontier) -> bool:
    return any(node.level > tree.geometry.deepest_stored for node in frontier.nodes)


@torch.inference_mode()
def _made(
    store: Store,
    tree: ContextTree,
    chunks: Sequence[ChunkFrontier],
    compressor: Compressor | None,
) -> dict[int, list[NodeSlots]]:
    """Slots of each chunk's opened nodes, from the stored tokens, by chunk."""
    assert compressor is not None, "these nodes are not stored, and nothing is given to make them"
    tokens = torch.zeros(tree.tokens, dtype=torch.long)
    size, lead = tree.geometry.chunk_tokens, tree.geometry.lead_tokens
    read = {
        index
        for one in chunks
        for index in range(max(0, one.chunk * size - lead) // size, one.chunk + 1)
    }
    for index in read:
        kept = store.chunk_tokens(chunks[0].doc_id, index)
        ids = torch.from_numpy(kept.token_ids.astype(np.int64))
        tokens[kept.token_start : kept.token_end] = ids
    wanted = [(0, node) for chunk in chunks for node in chunk.nodes]
    made = compressor.compress_nodes([tokens], [tree], wanted)
    return {chunk.chunk: [made[0, node] for node in chunk.nodes] for chunk in chunks}


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
    start = tree.sequence_start(node)
    return NodeSlots(node, keys, values, place - start, place, keys.new_zeros(0))
