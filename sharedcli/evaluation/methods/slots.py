"""The slots of one context, each chunk compressed once for all methods, budgets and questions.

Ratios differ in which of a chunk's keys and values are kept, hardly in how the chunk is read: in
strips, those from 8 on see half a lead. So the paths of all others are taken from one pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast

import torch
from torch import Tensor

from sharedcli.model.compressor import Compressor
from sharedcli.model.compressor_pass import Reading
from sharedcli.model.merged import MergedLayers
from sharedcli.model.node_slots import Frontier, NodeSlots
from sharedcli.model.sharedllm import Encoded, SharedLLM
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import fixed_path
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.strips import Strip

_REMEMBERED = 2
"""Passes: a block of full chunks, and a short last chunk."""


@dataclass(frozen=True)
class Taken:
    """Slots by chunk, and time.

    Attributes:
        chunks: slots of the frontiers' nodes.
        cost: seconds that compressing them takes by itself.
        spent: seconds that it took here; less where another method had it done.
    """

    chunks: list[list[NodeSlots]]
    cost: float
    spent: float


class SlotCache:
    """Compresses what is asked for and not there yet.

    Args:
        tokens: the context, [T].
        model: base and adapter.
        together: geometries whose fixed paths are wanted sooner or later.
        merged: the model's lowest layers as indexing reads them, where they can be merged.
    """

    def __init__(
        self,
        tokens: Tensor,
        model: SharedLLM,
        together: Sequence[TreeGeometry] = (),
        merged: MergedLayers | None = None,
    ) -> None:
        self._tokens = tokens
        self._once = once = _EncodeOnce(model, merged)
        reading = None if merged is None else cast(MergedLayers, once)
        self._compressor = Compressor(cast(SharedLLM, once), merged=reading)
        self._together = together
        self._known: dict[tuple[object, ...], NodeSlots] = {}
        self._cost: dict[tuple[TreeGeometry, int], float] = {}

    @torch.inference_mode()
    def take(self, tree: ContextTree, frontiers: Sequence[Frontier], *, whole: bool) -> Taken:
        """Return the slots of frontiers of this context's tree.

        Args:
            tree: in any geometry.
            frontiers: one per opened chunk, each with a node at least.
            whole: keep all nodes of a chunk that is read, since further questions open others, but
                for a geometry that reads others' tokens less far. Else chunks are read in the
                geometry's strips, as a document is that is indexed.
        """
        started = time.perf_counter()
        geometry = tree.geometry
        missing = [one for one in frontiers if not self._knows(geometry, one)]
        in_strips = geometry.strip_chunks > 1 and not whole
        whole = whole and geometry.levels == "nested" and not geometry.ends_early
        for block in self._blocks(tree, missing, in_strips):
            self._compress(tree, block, whole, in_strips)
        self._once.forget()
        found = [[self._known[_key(geometry, one, node)] for node in one] for one in frontiers]
        cost = sum(self._cost[geometry, frontier[0].chunk] for frontier in frontiers)
        return Taken(found, cost, time.perf_counter() - started)

    def _knows(self, geometry: TreeGeometry, frontier: Frontier) -> bool:
        return all(_key(geometry, frontier, node) in self._known for node in frontier)

    def _blocks(
        self, tree: ContextTree, frontiers: Sequence[Frontier], in_strips: bool
    ) -> Iterator[list[Frontier]]:
        """Chunks that are read one after the other and then forgotten."""
        if in_strips:
            by_chunk = {frontier[0].chunk: frontier for frontier in frontiers}
            for chunks in tree.strips(sorted(by_chunk)):
                yield [by_chunk[chunk] for chunk in chunks]
            return
        size = max(1, self._compressor.batch_tokens // tree.geometry.read_tokens)
        for first in range(0, len(frontiers), size):
            yield list(frontiers[first : first + size])

    def _compress(
        self, tree: ContextTree, block: Sequence[Frontier], whole: bool, in_strips: bool
    ) -> None:
        chunks = [frontier[0].chunk for frontier in block]
        wanted = _all(tree, chunks) if whole else block
        before = self._once.seconds
        took = {tree.geometry: self._timed(tree, wanted, in_strips)}
        for geometry, other in self._beside(tree):
            paths = [fixed_path(other, chunk) for chunk in chunks]
            paths = _all(other, chunks) if whole else paths
            if not all(self._knows(geometry, path) for path in paths):
                took[geometry] = self._timed(other, paths, in_strips)
        encoding = self._once.seconds - before
        for geometry, seconds in took.items():
            for chunk in chunks:
                self._cost[geometry, chunk] = (encoding + seconds) / len(chunks)

    def _beside(self, tree: ContextTree) -> Iterator[tuple[TreeGeometry, ContextTree]]:
        own = tree.geometry
        for other in self._together:
            if other != own and other.chunk_tokens == own.chunk_tokens:
                yield other, ContextTree(tree.tokens, other)

    def _timed(self, tree: ContextTree, frontiers: Sequence[Frontier], in_strips: bool) -> float:
        """Compress nodes; return the seconds that this took beside reading."""
        started, before = time.perf_counter(), self._once.seconds
        wanted = [(0, node) for frontier in frontiers for node in frontier]
        found = self._compressor.compress_nodes([self._tokens], [tree], wanted, in_strips=in_strips)
        for frontier in frontiers:
            for node in frontier:
                self._known[_key(tree.geometry, frontier, node)] = found[0, node]
        return time.perf_counter() - started - (self._once.seconds - before)


class _EncodeOnce:
    """A model that remembers its last passes: most geometries read the same chunks."""

    def __init__(self, model: SharedLLM, merged: MergedLayers | None) -> None:
        self._model = model
        self._merged = merged
        self._last: dict[tuple[object, ...], Encoded] = {}
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(
        self,
        tokens: Tensor,
        layers: int | None = None,
        *,
        kept: Tensor | None = None,
        strip: Strip | None = None,
    ) -> Encoded:
        """As ``SharedLLM.encode`` and ``MergedLayers.encode``."""
        if self._merged is not None and layers is None:
            return self.encode_each([Reading(tokens, kept, strip)])[0]
        alone = [Reading(tokens)]
        return self._once(alone, lambda _: [self._model.encode(tokens, layers)], layers)[0]

    def encode_each(self, readings: Sequence[Reading]) -> list[Encoded]:
        """As ``MergedLayers.encode_each``."""
        assert self._merged is not None
        return self._once(readings, self._merged.encode_each)

    def _once(
        self,
        readings: Sequence[Reading],
        encode: Callable[[Sequence[Reading]], list[Encoded]],
        layers: int | None = None,
    ) -> list[Encoded]:
        keys = [
            (_bytes(one.tokens), len(one.tokens), _bytes(one.kept), one.strip, layers)
            for one in readings
        ]
        found = {key: self._last[key] for key in keys if key in self._last}
        missing = {key: one for key, one in zip(keys, readings, strict=True) if key not in found}
        if missing:
            started = time.perf_counter()
            room = max(0, _REMEMBERED - len(missing))
            while len(self._last) > room:
                del self._last[next(iter(self._last))]
            found.update(zip(missing, encode(list(missing.values())), strict=True))
            if self._model.device.type == "cuda":
                torch.cuda.synchronize(self._model.device)
            self.seconds += time.perf_counter() - started
            self._last.update({key: found[key] for key in missing})
        return [found[key] for key in keys]

    def forget(self) -> None:
        """Give the passes' memory back."""
        self._last.clear()


def _bytes(tensor: Tensor | None) -> bytes:
    return b"" if tensor is None else tensor.cpu().numpy().tobytes()


def _key(geometry: TreeGeometry, frontier: Frontier, node: Node) -> tuple[object, ...]:
    """A node's slots depend on what else is kept of its chunk if the rest leaves early."""
    return geometry, node, frontier if geometry.ends_early else None


def _all(tree: ContextTree, chunks: Sequence[int]) -> list[Frontier]:
    return [tuple(tree.nodes(chunk)) for chunk in chunks]


def shuffled(chunks: Sequence[list[NodeSlots]], seed: int) -> list[list[NodeSlots]]:
    """Return the chunks in another order, drawn by ``seed``, at the places of that order.

    Raises:
        ValueError: there are not two.
    """
    if len(chunks) < 2:
        raise ValueError("one chunk has no other order")
    order = list(range(len(chunks)))
    rng = Random(f"{seed}/shuffled")
    while order == sorted(order):
        rng.shuffle(order)
    found, place = [], min(slots.node.start for slots in chunks[0])
    for old in order:
        start = min(slots.node.start for slots in chunks[old])
        moved = place - start
        found.append([_moved(slots, moved) for slots in chunks[old]])
        place += sum(slots.node.tokens for slots in chunks[old])
    return found


def _moved(slots: NodeSlots, by: int) -> NodeSlots:
    node = slots.node
    there = Node(node.chunk, node.level, node.index, node.start + by, node.end + by)
    return replace(slots, node=there, place=slots.place + by)
