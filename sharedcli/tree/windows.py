"""Uniform down-sampling: which tokens a slot stands for.

Slot ``i`` of a span of ``l`` tokens with ``k`` slots stands for the window
``[floor(i*l/k), floor((i+1)*l/k))``: exactly ``k`` windows of nearly equal length, whatever ``l``
and ``k`` are, and the paper's stride where ``k`` divides ``l``.
"""

from __future__ import annotations

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
    return tuple(_groups(tree, node))


def stored_groups(tree: ContextTree, node: Node) -> tuple[Window, ...]:
    """Which slots of its stored level, counted over the chunk, each slot of ``node`` stands for.

    The stored level is the node's own with per-node levels, the deepest with nested ones.
    """
    nested = tree.geometry.levels == "nested"
    level = tree.level(node.chunk, tree.geometry.depth if nested else node.level)
    before = sum(tree.slots(other) for other in level if other.end <= node.start)
    return tuple((before + a, before + b) for a, b in inner_groups(tree, node))


def _groups(tree: ContextTree, node: Node) -> list[Window]:
    children = tree.children(node)
    if not children:
        return [(i, i + 1) for i in range(tree.slots(node))]
    fine: list[Window] = []
    for child in children:
        base = fine[-1][1] if fine else 0
        fine += [(base + a, base + b) for a, b in _groups(tree, child)]
    groups = split_evenly(len(fine), min(tree.geometry.slots_per_node, len(fine)))
    return [(fine[a][0], fine[b - 1][1]) for a, b in groups]
