"""Chunks and nodes of one document, as token spans.

Each chunk is the root of a binary tree. A node of ``l`` tokens is cut at ``floor(l / 2)``; empty
halves do not exist, so a short tail chunk has thinner branches but loses no token. Roots are never
injected: level 1 is the coarsest grain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil

from sharedcli.tree.geometry import TreeGeometry


@dataclass(frozen=True, order=True)
class Node:
    """A half-open token span ``[start, end)`` of the document.

    ``chunk`` counts from 0 through the document, ``level`` from 0 (the root), ``index`` from 0 at
    the left edge of the level.
    """

    chunk: int
    level: int
    index: int
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """Length of the span."""
        return self.end - self.start

    @property
    def key(self) -> tuple[int, int]:
        """Place inside the chunk's tree: ``(level, index)``."""
        return (self.level, self.index)


@dataclass(frozen=True)
class ContextTree:
    """All nodes of a document of ``tokens`` tokens under one geometry.

    It is read in ``least_strips`` passes, or as many as the geometry's ``strip_chunks`` need.
    """

    tokens: int
    geometry: TreeGeometry
    least_strips: int = field(default=1, kw_only=True)

    @property
    def chunks(self) -> int:
        """Number of chunks; the last may be short."""
        return -(-self.tokens // self.geometry.chunk_tokens)

    def root(self, chunk: int) -> Node:
        """The whole chunk as a node of level 0."""
        if not 0 <= chunk < self.chunks:
            raise IndexError(f"chunk {chunk} of a tree with {self.chunks} chunks")
        size = self.geometry.chunk_tokens
        return Node(chunk, 0, 0, chunk * size, min((chunk + 1) * size, self.tokens))

    def sequence_start(self, node: Node) -> int:
        """First token of the sequence that is read for ``node``, its lead's, in the document.

        With nested levels the sequence is the whole chunk's.
        """
        read = self.root(node.chunk) if self.geometry.levels == "nested" else node
        return max(0, read.start - self.geometry.lead_tokens)

    def strip_start(self, chunk: int) -> int:
        """First token of a strip that begins with ``chunk``, its lead's, in the document."""
        return max(0, self.root(chunk).start - self.geometry.strip_lead)

    def shared_among(self, workers: int) -> ContextTree:
        """This tree in so many strips that all workers have as many, if there are the chunks."""
        rounds = ceil(self.chunks / (self.geometry.strip_chunks * workers))
        return replace(self, least_strips=min(rounds * workers, self.chunks))

    @property
    def strip_count(self) -> int:
        """Strips that the document is read in."""
        return max(self.least_strips, ceil(self.chunks / self.geometry.strip_chunks))

    def strips(self, chunks: Sequence[int]) -> Iterator[Sequence[int]]:
        """Those of ``chunks`` (ascending) that are read in one pass, pass by pass.

        All strips of a document are as long as each other, give or take a chunk. The last has one
        more rather than one less, since a document's last chunk is shorter than others.
        """
        count = self.strip_count
        for _, strip in groupby(chunks, lambda chunk: ((chunk + 1) * count - 1) // self.chunks):
            yield from _runs(list(strip))

    def split(self, node: Node) -> int:
        """Tokens of the left half of ``node``."""
        return node.tokens // 2

    def children(self, node: Node) -> tuple[Node, ...]:
        """The non-empty halves of ``node``, left first; none at the deepest level."""
        if node.level >= self.geometry.depth:
            return ()
        middle = node.start + self.split(node)
        left = Node(node.chunk, node.level + 1, 2 * node.index, node.start, middle)
        right = Node(node.chunk, node.level + 1, 2 * node.index + 1, middle, node.end)
        return (left, right) if left.tokens else (right,)

    def level(self, chunk: int, level: int) -> tuple[Node, ...]:
        """The chunk's nodes at ``level``, left to right."""
        nodes: tuple[Node, ...] = (self.root(chunk),)
        for _ in range(level):
            nodes = tuple(child for node in nodes for child in self.children(node))
        return nodes

    def nodes(self, chunk: int) -> Iterator[Node]:
        """All nodes of a chunk that can be injected, coarsest level first, left to right."""
        for level in range(1, self.geometry.depth + 1):
            yield from self.level(chunk, level)

    def stored_nodes(self, chunk: int) -> Iterator[Node]:
        """Those of ``nodes`` that the store keeps."""
        return (n for n in self.nodes(chunk) if n.level <= self.geometry.deepest_stored)

    def slots(self, node: Node) -> int:
        """Slots of a node: the geometry's number, or one per token where it has fewer."""
        return min(self.geometry.slots_per_node, node.tokens)


def _runs(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Neighbours of ascending numbers together."""
    first = 0
    for last in range(1, len(numbers) + 1):
        if last == len(numbers) or numbers[last] != numbers[last - 1] + 1:
            yield numbers[first:last]
            first = last
