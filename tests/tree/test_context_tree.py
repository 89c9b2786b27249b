"""Chunks and nodes: no token is lost and none is counted twice, whatever the length."""

from __future__ import annotations

import pytest
from hypothesis import given
from tree_strategies import trees

from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.geometry import TreeGeometry


@given(trees())
def test_chunks_partition_the_document(tree: ContextTree) -> None:
    edges = [0]
    for chunk in range(tree.chunks):
        root = tree.root(chunk)
        assert root.start == edges[-1]
        assert 0 < root.tokens <= tree.geometry.chunk_tokens
        edges.append(root.end)
    assert edges[-1] == tree.tokens


@given(trees())
def test_every_level_partitions_its_chunk(tree: ContextTree) -> None:
    for chunk in range(tree.chunks):
        for level in range(tree.geometry.depth + 1):
            nodes = tree.level(chunk, level)
            spans = [token for node in nodes for token in range(node.start, node.end)]
            root = tree.root(chunk)
            assert spans == list(range(root.start, root.end))
            assert all(node.tokens > 0 and node.level == level for node in nodes)


@given(trees())
def test_halves_are_floor_and_ceiling_and_a_left_half_starts_with_its_parent(
    tree: ContextTree,
) -> None:
    for chunk in range(tree.chunks):
        for node in (tree.root(chunk), *tree.nodes(chunk)):
            children = tree.children(node)
            if node.level == tree.geometry.depth:
                assert children == ()
            elif node.tokens == 1:
                assert [(child.start, child.end) for child in children] == [(node.start, node.end)]
            else:
                left, right = children
                assert (left.start, right.end) == (node.start, node.end)
                assert (left.tokens, right.tokens) == (node.tokens // 2, -(-node.tokens // 2))
                assert (left.index, right.index) == (2 * node.index, 2 * node.index + 1)


@given(trees())
def test_full_nodes_have_exactly_the_asked_slots_and_short_ones_keep_what_they_have(
    tree: ContextTree,
) -> None:
    asked = tree.geometry.slots_per_node
    for chunk in range(tree.chunks):
        full = tree.root(chunk).tokens == tree.geometry.chunk_tokens
        for node in tree.nodes(chunk):
            assert tree.slots(node) == (asked if full else min(asked, node.tokens))


def test_stored_nodes_come_coarsest_first_and_left_to_right() -> None:
    tree = ContextTree(8, TreeGeometry(8, 2, 1))
    assert [node.key for node in tree.nodes(0)] == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]


def test_a_document_of_one_token() -> None:
    tree = ContextTree(1, TreeGeometry())
    assert [(node.level, node.start, node.end) for node in tree.nodes(0)] == [
        (1, 0, 1),
        (2, 0, 1),
        (3, 0, 1),
    ]


@pytest.mark.parametrize("chunk", [-1, 2])
def test_a_chunk_that_is_not_there_is_refused(chunk: int) -> None:
    with pytest.raises(IndexError, match="a tree with 2 chunks"):
        ContextTree(1025, TreeGeometry()).root(chunk)


def test_nodes_sort_by_chunk_then_level_then_place() -> None:
    assert Node(0, 1, 1, 4, 8) < Node(0, 2, 0, 0, 2) < Node(1, 1, 0, 8, 12)
