"""Chunks become slots: the compressor at work on a context tree.

Two uses of one mechanism:

- ``compress_frontiers`` (training, evaluation): only the nodes of given frontiers, with gradient;
- ``compress_stored`` (indexing): what the store keeps of whole chunks, without gradient.

With per-node levels a node is encoded on its own, as in the paper; since attention is causal, a
left child is a prefix of its parent, so only the longest node at each start is run: two passes over
the tokens instead of one per level. With nested levels the chunk is run once and a coarser node's
slots are taken from its children's. Each sequence begins the geometry's lead before the node or
chunk, as far as the document goes, and ends with the last node that is wanted of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor_pass import Reading
from sharedcli.model.merged import MergedLayers
from sharedcli.model.node_slots import ChunkSlots, Frontier, NodeSlots, assemble
from sharedcli.model.sequences import PADDED, Job, batches, merge_prefixes, stack
from sharedcli.model.sharedllm import Encoded, SharedLLM
from sharedcli.model.slots import choose_slots, derive_slots, kept_offsets
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.strips import Strip
from sharedcli.tree.windows import inner_groups, leaf_windows, level_groups


class Compressor:
    """Runs the compressor role of a ``SharedLLM`` over trees."""

    def __init__(
        self, model: SharedLLM, batch_tokens: int = 4096, merged: MergedLayers | None = None
    ) -> None:
        """``batch_tokens`` bounds one forward pass, and so memory.

        With ``merged`` there is no gradient, and several threads may compress at once."""
        self.model = model
        self.batch_tokens = batch_tokens
        self.merged = merged

    def compress_nodes(
        self,
        contexts: Sequence[Tensor],
        trees: Sequence[ContextTree],
        wanted: Iterable[tuple[int, Node]],
        *,
        in_strips: bool = False,
    ) -> dict[tuple[int, Node], NodeSlots]:
        """Encode ``wanted`` nodes, given as (context index, node); contexts are token ids [T].

        ``in_strips`` reads neighbouring chunks in one pass, as ``compress_stored`` does.
        """
        slots: dict[tuple[int, Node], NodeSlots] = {}
        read = self._strips if in_strips else self._encoded
        for encoded, row, job, nodes in read(contexts, trees, wanted):
            for node in nodes:
                slots[job.context, node] = self._slots(encoded, row, job, trees[job.context], node)
        return slots

    def _encoded(
        self,
        contexts: Sequence[Tensor],
        trees: Sequence[ContextTree],
        wanted: Iterable[tuple[int, Node]],
        layers: int | None = None,
    ) -> Iterator[tuple[Encoded, int, Job, list[Node]]]:
        """Run the sequences that ``wanted`` nodes need: (pass, row, sequence, its nodes)."""
        by_job: dict[Job, list[Node]] = defaultdict(list)
        for context, node in wanted:
            start = trees[context].sequence_start(node)
            by_job[Job(context, start, node.end)].append(node)
        jobs = merge_prefixes(by_job)
        longest_first = sorted(jobs, key=lambda job: job.start - job.end)
        if self.merged is not None and layers is None and _reads_each_alone(self.model.device):
            for batch in batches(longest_first, self.batch_tokens, 0):
                readings = [
                    self._reading(contexts, job, trees[job.context], jobs[job]) for job in batch
                ]
                for encoded, job in zip(self.merged.encode_each(readings), batch, strict=True):
                    yield encoded, 0, job, jobs[job]
            return
        shortest = 1.0 if self.merged is None else PADDED
        for batch in batches(longest_first, self.batch_tokens, shortest):
            encoded = self._encode(stack(contexts, batch), layers)
            for row, job in enumerate(batch):
                yield encoded, row, job, jobs[job]

    def _reading(
        self, contexts: Sequence[Tensor], job: Job, tree: ContextTree, nodes: Sequence[Node]
    ) -> Reading:
        """A chunk alone, behind its lead, of which only what its nodes keep goes all the way."""
        tokens, geometry = stack(contexts, [job]), tree.geometry
        if not geometry.slots_are_tokens:
            return Reading(tokens)
        offsets = torch.cat([kept_offsets(tree, node) for node in nodes]).unique() - job.start
        alone = Strip((0,), len(job), 0, geometry.exit_layer, geometry.pruning_layer)
        return Reading(tokens, offsets, alone)

    def _strips(
        self,
        contexts: Sequence[Tensor],
        trees: Sequence[ContextTree],
        wanted: Iterable[tuple[int, Node]],
    ) -> Iterator[tuple[Encoded, int, Job, list[Node]]]:
        """As ``_encoded``, strip by strip."""
        by_chunk: dict[int, dict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
        for context, node in wanted:
            by_chunk[context][node.chunk].append(node)
        for context, chunks in by_chunk.items():
            tree = trees[context]
            for several in tree.strips(sorted(chunks)):
                strip, start = Strip.of(tree, several), tree.strip_start(several[0])
                job = Job(context, start, start + strip.tokens)
                batch = stack(contexts, [job])
                if tree.geometry.leaves_out and self.merged is not None:
                    kept = self._kept(tree, several) - start
                    encoded = self.merged.encode(batch, kept=kept, strip=strip)
                else:
                    encoded = self._encode(batch, strip=strip)
                yield encoded, 0, job, [node for chunk in several for node in chunks[chunk]]

    def compress_frontiers(
        self,
        contexts: Sequence[Tensor],
        trees: Sequence[ContextTree],
        frontiers: Sequence[Sequence[Frontier]],
    ) -> CompressedKV:
        """Compress each context's frontiers (one per opened chunk) into one batch of slots."""
        wanted = [
            (context, node)
            for context, chunks in enumerate(frontiers)
            for frontier in chunks
            for node in frontier
        ]
        slots = self.compress_nodes(contexts, trees, wanted)
        return CompressedKV.batch(
            [
                assemble([[slots[i, node] for node in frontier] for frontier in chunks])
                if any(chunks)
                else self.model.no_context()
                for i, chunks in enumerate(frontiers)
            ]
        )

    def summaries(
        self,
        contexts: Sequence[Tensor],
        trees: Sequence[ContextTree],
        wanted: Iterable[tuple[int, Node]],
    ) -> dict[tuple[int, Node], Tensor]:
        """Return the search vectors [E] of ``wanted`` nodes, running no layer above them."""
        vectors: dict[tuple[int, Node], Tensor] = {}
        for encoded, row, job, nodes in self._encoded(contexts, trees, wanted, layers=0):
            for node in nodes:
                vectors[job.context, node] = _summary(encoded, row, job, node)
        return vectors

    @torch.inference_mode()
    def compress_chunks(
        self, tokens: Tensor, tree: ContextTree, chunks: Sequence[int]
    ) -> list[list[NodeSlots]]:
        """Encode every stored node of several chunks; nodes of equal length share a pass."""
        nodes = [list(tree.stored_nodes(chunk)) for chunk in chunks]
        wanted = [(0, node) for chunk in nodes for node in chunk]
        slots = self.compress_nodes([tokens], [tree], wanted)
        return [[slots[0, node] for node in chunk] for chunk in nodes]

    @torch.inference_mode()
    def compress_stored(
        self, tokens: Tensor, tree: ContextTree, chunks: Sequence[int]
    ) -> list[ChunkSlots]:
        """Return what the store keeps of several chunks of the document ``tokens`` [T].

        Neighbours among them are read in one pass, as far as they are of one strip.
        """
        if tree.geometry.levels == "per_node":
            return [_by_level(nodes) for nodes in self.compress_chunks(tokens, tree, chunks)]
        alike: dict[Strip, list[Sequence[int]]] = defaultdict(list)
        for several in tree.strips(chunks):
            alike[Strip.of(tree, several)].append(several)
        found: dict[int, ChunkSlots] = {}
        for strip, same in alike.items():
            step = max(1, self.batch_tokens // strip.tokens)
            for first in range(0, len(same), step):
                found.update(self._nested(tokens, tree, same[first : first + step]))
        return [found[chunk] for chunk in chunks]

    def _nested(
        self, tokens: Tensor, tree: ContextTree, strips: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, ChunkSlots]]:
        """Strips of equal lengths, so that their nodes and windows lie at the same places."""
        roots, choice = [tree.root(chunk) for chunk in strips[0]], tree.geometry.slot_choice
        start, stored = tree.strip_start(strips[0][0]), tree.geometry.deepest_stored
        firsts = [tree.strip_start(chunks[0]) for chunks in strips]
        strip = Strip.of(tree, strips[0])
        batch = torch.stack([tokens[first : first + strip.tokens] for first in firsts])
        if self.merged is not None and tree.geometry.slots_are_tokens:
            kept = self._kept(tree, strips[0]) - start
            encoded = self.merged.encode(batch, kept=kept, strip=strip)
            keys, values = encoded.keys, encoded.values
        else:
            encoded = self._encode(batch, strip=strip)
            query = self.model.adapter.pool_query
            leaves = [window for root in roots for window in leaf_windows(tree, root)]
            windows = [(a - start, b - start) for a, b in leaves]
            keys, values, _ = choose_slots(encoded.keys, encoded.values, windows, choice, query)
            if stored < tree.geometry.depth:
                nodes = [node for root in roots for node in tree.level(root.chunk, stored)]
                keys, values = derive_slots(keys, values, level_groups(tree, nodes), choice)
        first = 0
        for place, root in enumerate(roots):
            last = first + sum(map(tree.slots, tree.level(root.chunk, stored)))
            ends = [node.end - start - 1 for node in tree.stored_nodes(root.chunk)]
            for row, one in enumerate(strips):
                slots = {stored: (keys[:, row, :, first:last], values[:, row, :, first:last])}
                yield one[place], ChunkSlots(slots, encoded.states[row, ends])
            first = last

    def _kept(self, tree: ContextTree, chunks: Sequence[int]) -> Tensor:
        """Document offsets of the tokens that are stored of some chunks as slots."""
        stored = tree.geometry.deepest_stored
        nodes = [node for chunk in chunks for node in tree.level(chunk, stored)]
        return torch.cat([kept_offsets(tree, node) for node in nodes]).to(self.model.device)

    def _encode(
        self, batch: Tensor, layers: int | None = None, strip: Strip | None = None
    ) -> Encoded:
        if self.merged is not None and layers is None:
            return self.merged.encode(batch, strip=strip)
        if strip is not None and len(strip.starts) > 1:
            raise ValueError("only merged layers read chunks in strips")
        return self.model.encode(batch, layers)

    def _slots(
        self, encoded: Encoded, row: int, job: Job, tree: ContextTree, node: Node
    ) -> NodeSlots:
        summary = _summary(encoded, row, job, node)
        if encoded.kept is not None:
            place = kept_offsets(tree, node).to(encoded.kept.device)
            found = torch.searchsorted(encoded.kept, place - job.start)
            keys, values = (
                x[:, row].index_select(2, found) for x in (encoded.keys, encoded.values)
            )
            local = place - tree.sequence_start(node)
            return NodeSlots(node, keys, values, local, place, summary)
        leaves = leaf_windows(tree, node)
        windows = [(a - job.start, b - job.start) for a, b in leaves]
        choice = tree.geometry.slot_choice
        keys, values, local = choose_slots(
            encoded.keys[:, row : row + 1],
            encoded.values[:, row : row + 1],
            windows,
            choice,
            self.model.adapter.pool_query,
        )
        groups = inner_groups(tree, node)
        if len(groups) < len(windows):  # nested: a coarser node is made of its leaves' slots
            keys, values = derive_slots(keys, values, groups, choice)
            local = kept_offsets(tree, node).to(local.device) - job.start
        place = local + job.start
        local = place - tree.sequence_start(node)  # a strip begins elsewhere
        return NodeSlots(node, keys[:, 0], values[:, 0], local, place, summary)


def _reads_each_alone(device: torch.device) -> bool:
    """Whether each opened chunk may end where its own nodes do; a GPU is better filled by all."""
    return device.type == "cpu"


def _by_level(nodes: Sequence[NodeSlots]) -> ChunkSlots:
    levels = {}
    for level in sorted({one.node.level for one in nodes}):
        same = [one for one in nodes if one.node.level == level]
        keys = torch.cat([one.keys for one in same], dim=2)
        levels[level] = (keys, torch.cat([one.values for one in same], dim=2))
    return ChunkSlots(levels, torch.stack([one.summary for one in nodes]))


def _summary(encoded: Encoded, row: int, job: Job, node: Node) -> Tensor:
    """The state at the node's last token; search does not train through it (it is an argmax).

    A copy: a view would keep the states of the whole pass, and so of a whole document.
    """
    return encoded.states[row, node.end - job.start - 1].detach().clone()
