"""Frontiers: each search path and each level covers the chunk once."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import trees

from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import (
    fixed_path,
    is_partition,
    level_frontier,
    nearest,
    search_path,
)
from sharedcli.tree.geometry import TreeGeometry


def turning(turns: tuple[int, ...]) -> Callable[[Node], float]:
    """A score that makes the search turn left (0) or right (1) at each level."""
    return lambda node: float(node.index % 2 == turns[node.level - 1])


@given(trees())
def test_every_path_partitions_its_chunk(tree: ContextTree) -> None:
    for turns in itertools.product((0, 1), repeat=tree.geometry.depth):
        for chunk in range(tree.chunks):
            assert is_partition(tree, chunk, search_path(tree, chunk, turning(turns)))


@given(trees(), st.data())
def test_any_scores_give_a_partition(tree: ContextTree, data: st.DataObject) -> None:
    scores = data.draw(st.randoms(use_true_random=False))
    for chunk in range(tree.chunks):
        assert is_partition(tree, chunk, search_path(tree, chunk, lambda _: scores.random()))


@given(trees())
def test_levels_and_the_fixed_path_partition_their_chunk(tree: ContextTree) -> None:
    for chunk in range(tree.chunks):
        assert is_partition(tree, chunk, fixed_path(tree, chunk))
        for level in range(1, tree.geometry.depth + 1):
            assert is_partition(tree, chunk, level_frontier(tree, chunk, level))


@pytest.mark.parametrize("turns", list(itertools.product((0, 1), repeat=2)))
def test_reference_paths_keep_four_nodes_and_one_slot_for_eight_tokens(
    turns: tuple[int, ...],
) -> None:
    tree = ContextTree(1024, TreeGeometry())
    path = search_path(tree, 0, turning((*turns, 0)))
    assert sorted(node.tokens for node in path) == [128, 128, 256, 512]
    assert sum(tree.slots(node) for node in path) == 1024 // 8


@given(trees())
def test_a_full_chunks_path_has_the_geometrys_slots(tree: ContextTree) -> None:
    if tree.tokens >= tree.geometry.chunk_tokens:
        path = fixed_path(tree, 0)
        assert len(path) == tree.geometry.depth + 1
        assert sum(tree.slots(node) for node in path) == tree.geometry.path_slots


def test_the_better_half_is_opened_and_the_left_one_on_a_tie() -> None:
    tree = ContextTree(8, TreeGeometry(8, 2, 1))
    assert [node.key for node in search_path(tree, 0, lambda node: node.index)] == [
        (1, 0),
        (2, 2),
        (2, 3),
    ]
    assert [node.key for node in search_path(tree, 0, lambda _: 0.5)] == [(2, 0), (2, 1), (1, 1)]


def test_the_fixed_path_is_fine_at_the_end() -> None:
    tree = ContextTree(16, TreeGeometry(16, 3, 2))
    assert [node.tokens for node in fixed_path(tree, 0)] == [8, 4, 2, 2]


def test_what_is_no_partition() -> None:
    tree = ContextTree(16, TreeGeometry(8, 2, 1))
    left, right = tree.level(0, 1)
    assert is_partition(tree, 0, (left, right))
    assert not is_partition(tree, 0, (right, left))
    assert not is_partition(tree, 0, (left,))
    assert not is_partition(tree, 0, ())
    assert not is_partition(tree, 0, (left, *tree.level(0, 2)))
    assert not is_partition(tree, 1, (left, right))


@given(trees(), st.integers(0, 500))
def test_nearest_covers_the_document_within_its_slots(tree: ContextTree, more: int) -> None:
    coarse = sum(tree.slots(node) for chunk in range(tree.chunks) for node in tree.level(chunk, 1))
    found = nearest(tree, coarse + more)
    assert all(is_partition(tree, chunk, nodes) for chunk, nodes in enumerate(found))
    assert all(node.chunk == chunk for chunk, nodes in enumerate(found) for node in nodes)
    assert coarse <= sum(tree.slots(node) for nodes in found for node in nodes) <= coarse + more


def test_nearest_is_finest_at_the_documents_end() -> None:
    tree = ContextTree(64, TreeGeometry(32, depth=3, slots_per_node=4))
    assert [node.key for node in nearest(tree, 16)[1]] == [(1, 0), (1, 1)]  # nothing to spare
    first, last = nearest(tree, 24)
    assert [node.key for node in first] == [(1, 0), (1, 1)]
    assert [node.key for node in last] == [(1, 0), (2, 2), (3, 6), (3, 7)]
    assert {node.level for nodes in nearest(tree, 64) for node in nodes} == {3}


def test_nearest_refuses_fewer_slots_than_level_1_has() -> None:
    with pytest.raises(ValueError, match="15 slots are too few: level 1 has 16"):
        nearest(ContextTree(64, TreeGeometry(32, depth=3, slots_per_node=4)), 15)
