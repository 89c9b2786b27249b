"""The slots of chosen nodes: read from the store, or made anew where it keeps none.

Coarse nodes come from the store. A chunk that a question opens below the deepest stored level is
read again by the compressor, with its lead and as far as the last of those nodes: detail costs a
moment for the few chunks that need it, and no place on the disk for all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from sharedcli.errors import CorruptionError
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import Compressor
from sharedcli.model.node_slots import NodeSlots, assemble
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

    Documents stand one behind the other, as if they were one text; all chunks of one come together
    in ``frontiers``. ``compressor`` makes the slots that are not stored; all are on its device, or
    on the CPU without one.
    """
    by_doc = [
        (doc_id, list(group))
        for doc_id, group in groupby(frontiers, key=lambda frontier: frontier.doc_id)
    ]
    absent = {
        doc_id: [node for one in chunks for node in one.nodes if node.level > stored]
        for doc_id, chunks in by_doc
        for stored in [_stored_depth(store, doc_id, trees[doc_id])]
    }
    made = _made(store, trees, absent, compressor)
    device = torch.device("cpu") if compressor is None else compressor.model.device
    parts = []
    for doc_id, chunks in by_doc:
        slots = made.get(doc_id, {})
        for one in chunks:
            present = [node for node in one.nodes if node not in slots]
            if present:
                slots |= _read(store, doc_id, trees[doc_id], present, dtype=dtype, device=device)
        parts.append(assemble([[slots[node] for node in one.nodes] for one in chunks]))
    return CompressedKV.cat(parts)


def _stored_depth(store: Store, doc_id: str, tree: ContextTree) -> int:
    """The deepest level of which the store has tensors; 0 if it has none."""
    nothing = store.identity(doc_id).slot_format == RECOMPUTE
    return 0 if nothing else tree.geometry.deepest_stored


@torch.inference_mode()
def _made(
    store: Store,
    trees: Mapping[str, ContextTree],
    absent: Mapping[str, Sequence[Node]],
    compressor: Compressor | None,
) -> dict[str, dict[Node, NodeSlots]]:
    """Slots of each document's nodes that are not stored, all read together."""
    names = [doc_id for doc_id, nodes in absent.items() if nodes]
    if not names:
        return {}
    assert compressor is not None, "these nodes are not stored, and nothing is given to make them"
    texts = [_tokens(store, name, trees[name], absent[name]) for name in names]
    vocabulary = compressor.model.base.config.vocab_size
    for name, text in zip(names, texts, strict=True):
        if int(text.max()) >= vocabulary:  # only an imported tree can have them
            raise CorruptionError(
                f"document {name} holds tokens that the model does not have; remove it with "
                f"`sharedcli rm {name}` and index its file"
            )
    wanted = [(place, node) for place, name in enumerate(names) for node in absent[name]]
    slots = compressor.compress_nodes(texts, [trees[name] for name in names], wanted)
    return {
        name: {node: slots[place, node] for node in absent[name]}
        for place, name in enumerate(names)
    }


def _tokens(store: Store, doc_id: str, tree: ContextTree, nodes: Sequence[Node]) -> Tensor:
    """A document's tokens [T] as far as ``nodes`` need them, 0 elsewhere."""
    tokens = torch.zeros(tree.tokens, dtype=torch.long)
    size = tree.geometry.chunk_tokens
    read = {
        index
        for node in nodes
        for index in range(tree.sequence_start(node) // size, node.chunk + 1)
    }
    for index in read:
        kept = store.chunk_tokens(doc_id, index)
        ids = torch.from_numpy(kept.token_ids.astype(np.int64))
        tokens[kept.token_start : kept.token_end] = ids
    return tokens


def _read(
    store: Store,
    doc_id: str,
    tree: ContextTree,
    nodes: Sequence[Node],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[Node, NodeSlots]:
    """Slots of stored nodes of one chunk, where those that are made anew are."""
    levels = sorted({stored_level(tree, node) for node in nodes})
    names = [f"level{level}.{kind}" for level in levels for kind in ("keys", "values")]
    kept = store.read_chunk(doc_id, nodes[0].chunk, names, dtype)
    tensors = {name: tensor.to(device) for name, tensor in kept.items()}
    return {
        node: node_slots(tree, node, tensors[f"level{level}.keys"], tensors[f"level{level}.values"])
        for node in nodes
        for level in [stored_level(tree, node)]
    }


def node_slots(tree: ContextTree, node: Node, keys: Tensor, values: Tensor) -> NodeSlots:
    """A stored node's slots, from those [M, K, S, D] of its ``stored_level`` in its chunk."""
    groups = stored_groups(tree, node)
    first, last = groups[0][0], groups[-1][1]
    keys, values = keys[:, :, first:last], values[:, :, first:last]
    if len(groups) < last - first:
        inside = [(a - first, b - first) for a, b in groups]
        keys, values = derive_slots(keys, values, inside, tree.geometry.slot_choice)
    place = kept_offsets(tree, node).to(keys.device)
    start = tree.sequence_start(node)
    return NodeSlots(node, keys, values, place - start, place, keys.new_zeros(0))
