"""Spend a slot budget on the context trees of many chunks: fine, coarse, or not at all.

The paper gives every chunk the same number of slots (section 3.2, ``sharedcli.tree.frontier``).
Over a whole library most chunks are beside the question, so here slots go where they help most.

Notable choices:
- Best first: of all nodes that could be opened, the one above the most relevant text is. So the
  best passage is opened down to the finest level before the second best gets a slot.
- That is what facts need. A number is lost at a ratio of 2 already, and found at 1; spreading slots
  evenly over all candidates finds none of them (docs/concepts/retrieval.md has the figures).
- What lies beside the way comes along in the grain of the level where it was left.
- Relevance is given for the deepest nodes only; a coarser node takes that of its best.

Pure functions: scores in, nodes out. No torch, no disk.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sharedcli.tree.context_tree import ContextTree, Node

Place = tuple[str, int]
"""A document's id and the number of a chunk in it."""

Span = tuple[int, int]


@dataclass(frozen=True)
class ChunkFrontier:
    """What is injected of one chunk: nodes in reading order that cover it without gap or overlap.

    ``relevance`` holds one value per node: the largest of the deepest nodes below it.
    """

    doc_id: str
    chunk: int
    nodes: tuple[Node, ...]
    relevance: tuple[float, ...]

    @property
    def score(self) -> float:
        """Relevance of the chunk's best node."""
        return max(self.relevance)

    def slots(self, tree: ContextTree) -> int:
        """Slots that the nodes have together."""
        return sum(tree.slots(node) for node in self.nodes)


def leaf_relevance(
    leaves: Sequence[Span], passages: Sequence[tuple[int, int, float]]
) -> list[float]:
    """Carry the scores of passages over to a chunk's deepest nodes.

    A node takes the score of the best passage that it shares text with, in proportion to the part
    of the shorter of the two that is shared.

    Args:
        leaves: character spans of the chunk's deepest nodes.
        passages: character spans of passages of the same document with their scores.

    Returns:
        One value per node; 0 where no passage touches it.
    """
    found = []
    for start, end in leaves:
        best = 0.0
        for first, last, score in passages:
            shared = min(end, last) - max(start, first)
            if shared > 0:
                best = max(best, score * shared / min(end - start, last - first))
        found.append(best)
    return found


def budgeted_frontiers(
    trees: Mapping[str, ContextTree],
    relevance: Mapping[Place, Sequence[float]],
    budget: int,
) -> list[ChunkFrontier]:
    """Choose nodes worth ``budget`` slots, the most relevant tokens in the finest grain.

    Args:
        trees: the tree of each document.
        relevance: for each candidate chunk, one value of at least 0 per deepest node, left to
            right. A chunk whose values are all 0 is never opened.
        budget: slots at most, over all chunks.

    Returns:
        One frontier per opened chunk, in the order of ``trees`` and of reading.

    Raises:
        ValueError: the number of values does not fit a chunk's deepest level.
    """
    spending = _Spending(trees, relevance, budget)
    order = {doc_id: at for at, doc_id in enumerate(trees)}
    return sorted(spending.run(), key=lambda frontier: (order[frontier.doc_id], frontier.chunk))


class _Spending:
    """Best-first search: a heap of nodes that may be opened, most relevant first."""

    def __init__(
        self,
        trees: Mapping[str, ContextTree],
        relevance: Mapping[Place, Sequence[float]],
        budget: int,
    ) -> None:
        self._trees = trees
        self._left = budget
        self._leaves = {place: self._checked(place, found) for place, found in relevance.items()}
        self._steps: list[tuple[float, Place, int, int, Node]] = []
        self._kept: dict[Place, set[Node]] = {}

    def _checked(self, place: Place, found: Sequence[float]) -> list[tuple[Node, float]]:
        tree = self._trees[place[0]]
        leaves = tree.level(place[1], tree.geometry.depth)
        if len(leaves) != len(found):
            raise ValueError(f"{len(found)} values for {len(leaves)} nodes of chunk {place}")
        return list(zip(leaves, found, strict=True))

    def run(self) -> list[ChunkFrontier]:
        for place in self._leaves:
            self._offer(place, self._trees[place[0]].root(place[1]))
        while self._steps:
            _, place, _, _, node = heapq.heappop(self._steps)
            tree = self._trees[place[0]]
            cost = self._cost(tree, node)
            if cost > self._left:
                continue  # a cheaper step may still fit
            self._left -= cost
            kept = self._kept.setdefault(place, set())
            kept.discard(node)
            for child in tree.children(node):
                kept.add(child)
                self._offer(place, child)
        return [self._frontier(place, nodes) for place, nodes in self._kept.items()]

    def _offer(self, place: Place, node: Node) -> None:
        """Put the step that replaces ``node`` by its halves on the heap, if it is worth one."""
        tree = self._trees[place[0]]
        if tree.children(node) and (best := self._best(place, node)) > 0:
            heapq.heappush(self._steps, (-best, place, node.level, node.index, node))

    @staticmethod
    def _cost(tree: ContextTree, node: Node) -> int:
        halves = sum(tree.slots(child) for child in tree.children(node))
        return halves - (tree.slots(node) if node.level else 0)  # roots are never injected

    def _best(self, place: Place, node: Node) -> float:
        """Relevance of the best deepest node below ``node``."""
        return max(
            found
            for leaf, found in self._leaves[place]
            if node.start <= leaf.start and leaf.end <= node.end
        )

    def _frontier(self, place: Place, nodes: set[Node]) -> ChunkFrontier:
        ordered = tuple(sorted(nodes, key=lambda node: node.start))
        best = tuple(self._best(place, node) for node in ordered)
        return ChunkFrontier(place[0], place[1], ordered, best)
