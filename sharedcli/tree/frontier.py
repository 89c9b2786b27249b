"""Which nodes of a chunk are injected: a frontier is a set of nodes that partitions the chunk.

``search_path`` is the paper's query-aware split-and-search (section 3.2): halve the node, keep the
less relevant half as it is, go on in the other, keep both halves at the deepest level.
``fixed_path`` is its policy for plain language modelling, where there is no query: always go right.
``nearest`` is ours for the same case: what a text goes on from is mostly what was read last.
"""

from __future__ import annotations

from collections.abc import Callable

from sharedcli.tree.context_tree import ContextTree, Node

Chooser = Callable[[tuple[Node, ...]], int]


def _descend(tree: ContextTree, chunk: int, choose: Chooser) -> tuple[Node, ...]:
    kept: list[Node] = []
    node = tree.root(chunk)
    while children := tree.children(node):
        picked = choose(children) if len(children) > 1 else 0
        kept += [child for i, child in enumerate(children) if i != picked]
        node = children[picked]
    return tuple(sorted([*kept, node], key=lambda kept_node: kept_node.start))


def search_path(tree: ContextTree, chunk: int, score: Callable[[Node], float]) -> tuple[Node, ...]:
    """Return the ``depth + 1`` nodes of one split-and-search path, in reading order.

    ``score`` gives a node's relevance to the query; on a tie the left half is opened.
    """
    return _descend(tree, chunk, lambda halves: int(score(halves[1]) > score(halves[0])))


def fixed_path(tree: ContextTree, chunk: int) -> tuple[Node, ...]:
    """Return the path that always opens the right half: fine at the chunk's end."""
    return _descend(tree, chunk, lambda halves: len(halves) - 1)


def nearest(tree: ContextTree, slots: int) -> list[tuple[Node, ...]]:
    """Cover the whole document with at most ``slots`` slots, the finer the nearer to its end.

    Every chunk is kept at least at level 1. What is left of the slots opens the last chunk from its
    end, then the one before it.

    Returns:
        One frontier per chunk, in reading order.

    Raises:
        ValueError: level 1 alone has more slots.
    """
    coarse = [tree.level(chunk, 1) for chunk in range(tree.chunks)]
    left = slots - sum(tree.slots(node) for nodes in coarse for node in nodes)
    if left < 0:
        raise ValueError(f"{slots} slots are too few: level 1 has {slots - left}")
    found: list[tuple[Node, ...]] = []
    for nodes in reversed(coarse):
        fine: list[Node] = []
        for node in reversed(nodes):
            opened = _fine_at_the_end(tree, node, left + tree.slots(node))
            left += tree.slots(node) - sum(tree.slots(one) for one in opened)
            fine = opened + fine
        found.insert(0, tuple(fine))
    return found


def _fine_at_the_end(tree: ContextTree, node: Node, slots: int) -> list[Node]:
    """Cover ``node`` with at most ``slots`` slots, which it may have itself."""
    halves = tree.children(node)
    if not halves or slots < sum(tree.slots(half) for half in halves):
        return [node]
    fine: list[Node] = []
    coarse = sum(tree.slots(half) for half in halves)
    for half in reversed(halves):
        coarse -= tree.slots(half)
        opened = _fine_at_the_end(tree, half, slots - coarse)
        slots -= sum(tree.slots(one) for one in opened)
        fine = opened + fine
    return fine


def level_frontier(tree: ContextTree, chunk: int, level: int) -> tuple[Node, ...]:
    """Return all nodes of one level: the same ratio for the whole chunk."""
    return tree.level(chunk, level)


def is_partition(tree: ContextTree, chunk: int, nodes: tuple[Node, ...]) -> bool:
    """Tell whether ``nodes``, in reading order, cover the chunk once and without a gap."""
    root = tree.root(chunk)
    edges = [root.start, *(node.end for node in nodes)]
    return edges[-1] == root.end and all(
        node.start == edge for node, edge in zip(nodes, edges, strict=False)
    )
