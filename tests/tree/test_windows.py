"""Uniform down-sampling: exact counts, and windows that cover their node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import trees

from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.windows import (
    inner_groups,
    leaf_windows,
    node_windows,
    split_evenly,
    stored_groups,
)


@given(st.integers(1, 600), st.data())
def test_window_i_starts_at_floor_of_i_l_over_k(length: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, length))
    windows = split_evenly(length, parts)
    assert [start for start, _ in windows] == [i * length // parts for i in range(parts)]
    assert [token for a, b in windows for token in range(a, b)] == list(range(length))
    widths = {b - a for a, b in windows}
    assert max(widths) - min(widths) <= 1


def test_a_stride_where_the_count_divides() -> None:
    assert [start for start, _ in split_evenly(512, 32)] == list(range(0, 512, 16))


@given(trees())
def test_a_nodes_windows_cover_it_once_in_as_many_pieces_as_slots(tree: ContextTree) -> None:
    for chunk in range(tree.chunks):
        for node in tree.nodes(chunk):
            windows = node_windows(tree, node)
            assert len(windows) == tree.slots(node)
            covered = [token for a, b in windows for token in range(a, b)]
            assert covered == list(range(node.start, node.end))
            assert all(a < b for a, b in windows)


@given(trees("nested"))
def test_nested_windows_are_unions_of_leaf_windows(tree: ContextTree) -> None:
    for chunk in range(tree.chunks):
        for node in tree.nodes(chunk):
            leaves = leaf_windows(tree, node)
            groups = inner_groups(tree, node)
            merged = tuple((leaves[a][0], leaves[b - 1][1]) for a, b in groups)
            assert merged == node_windows(tree, node)
            assert [i for a, b in groups for i in range(a, b)] == list(range(len(leaves)))


@given(trees())
def test_stored_groups_name_the_nodes_own_slots_of_the_stored_level(tree: ContextTree) -> None:
    nested = tree.geometry.levels == "nested"
    for chunk in range(tree.chunks):
        for node in tree.stored_nodes(chunk):
            stored = tree.level(chunk, tree.geometry.deepest_stored if nested else node.level)
            windows = [window for other in stored for window in node_windows(tree, other)]
            groups = stored_groups(tree, node)
            merged = tuple((windows[a][0], windows[b - 1][1]) for a, b in groups)
            assert merged == node_windows(tree, node)


def test_per_node_slots_are_taken_from_the_tokens_themselves() -> None:
    tree = ContextTree(16, TreeGeometry(16, 2, 2))
    node = tree.level(0, 1)[1]
    assert leaf_windows(tree, node) == node_windows(tree, node) == ((8, 12), (12, 16))
    assert inner_groups(tree, node) == ((0, 1), (1, 2))
    assert stored_groups(tree, node) == ((2, 3), (3, 4))
