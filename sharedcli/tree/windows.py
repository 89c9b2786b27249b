"""Uniform down-sampling: which tokens a slot stands for.

Slot ``i`` of a span of ``l`` tokens with ``k`` slots stands for the window
``[floor(i*l/k), floor((i+1)*l/k))``: exactly ``k`` windows of nearly equal length, whatever ``l``
and ``k`` are, and the paper's stride where ``k`` divides ``l``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sharedcli.tree.context_tree import ContextTree, Node

Window = tuple[int, int]


def split_evenly(length: int, parts: int) -> tuple[Window, ...]:
    """Cut ``range(length)`` in ``parts`` half-open windows, none empty; needs parts <= length."""
    edges = [i * length // parts for i in range(parts + 1)]
    return tuple(pairwise(edges))


def node_windows(tree: ContextTree, node: Node) -> tuple[Window, ...]:
    """Windows of a node's slots as token offsets within the document.

    With nested levels a coarser node's windows are unions of its children's, so that its slots can
    be derived from theirs.
    """
    children = tree.children(node) if tree.geometry.levels == "nested" else ()
    if not children:
        parts = split_evenly(node.tokens, tree.slots(node))
        return tuple((node.start + a, node.start + b) for a, b in parts)
    fine = [window for child in children for window in node_windows(tree, child)]
    groups = split_evenly(len(fine), min(tree.geometry.slots_per_node, len(fine)))
    return tuple((fine[a][0], fine[b - 1][1]) for a, b in groups)


def leaf_windows(tree: ContextTree, node: Node) -> tuple[Window, ...]:
    """Windows that are reduced straight from tokens for ``node``.

    Its own with per-node levels; with nested levels those of the deepest nodes below it.
    """
    if tree.geometry.levels == "per_node":
        return node_windows(tree, node)
    children = tree.children(node)
    if not children:
        return node_windows(tree, node)
    return tuple(window for child in children for window in leaf_windows(tree, child))


def inner_groups(tree: ContextTree, node: Node) -> tuple[Window, ...]:
    """Which of its ``leaf_windows`` each slot of ``node`` stands for, counted from 0."""
    if tree.geometry.levels == "per_node":
        return tuple((i, i + 1) for i in range(tree.slots(node)))
    return tuple(_groups(tree, node, tree.geometry.depth))


def level_groups(tree: ContextTree, nodes: Sequence[Node]) -> tuple[Window, ...]:
    """``inner_groups`` of neighbours side by side, counted from the first one's first window."""
    groups: list[Window] = []
    for node in nodes:
        base = groups[-1][1] if groups else 0
        groups += [(base + a, base + b) for a, b in inner_groups(tree, node)]
    return tuple(groups)


def stored_groups(tree: ContextTree, node: Node) -> tuple[Window, ...]:
    """Which slots of its stored level, counted over the chunk, each slot of ``node`` stands for.

    The stored level is the node's own with per-node levels, the deepest stored with nested ones.
    """
    stored = tree.geometry.deepest_stored if tree.geometry.levels == "nested" else node.level
    level = tree.level(node.chunk, stored)
    before = sum(tree.slots(other) for other in level if other.end <= node.start)
    return tuple((before + a, before + b) for a, b in _groups(tree, node, stored))


def _groups(tree: ContextTree, node: Node, deepest: int) -> list[Window]:
    """Which slots of level ``deepest``, counted from the node's first, each of its slots is of."""
    children = tree.children(node) if node.level < deepest else ()
    if not children:
        return [(i, i + 1) for i in range(tree.slots(node))]
    fine: list[Window] = []
    for child in children:
        base = fine[-1][1] if fine else 0
        fine += [(base + a, base + b) for a, b in _groups(tree, child, deepest)]
    groups = split_evenly(len(fine), min(tree.geometry.slots_per_node, len(fine)))
    return [(fine[a][0], fine[b - 1][1]) for a, b in groups]
