from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.retrieve.search import ChunkFrontier, budgeted_frontiers, leaf_relevance
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import is_partition
from sharedcli.tree.geometry import TreeGeometry

SMALL = TreeGeometry(chunk_tokens=64, depth=3, slots_per_node=4)


def leaves(tree: ContextTree, chunk: int) -> int:
    return len(tree.level(chunk, tree.geometry.depth))


@st.composite
def libraries(draw: st.DrawFn):  # type: ignore[no-untyped-def]
    trees, relevance = {}, {}
    for name in draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True)):
        depth, slots = draw(st.integers(1, 3)), draw(st.integers(1, 5))
        size = draw(st.integers(slots << depth, 90))
        levels = draw(st.sampled_from(["nested", "per_node"]))
        geometry = TreeGeometry(size, depth, slots, levels)
        trees[name] = tree = ContextTree(draw(st.integers(1, 250)), geometry)
        for chunk in range(tree.chunks):
            count = leaves(tree, chunk)
            value = st.floats(0, 1, allow_subnormal=False)
            relevance[name, chunk] = draw(st.lists(value, min_size=count, max_size=count))
    return trees, relevance, draw(st.integers(0, 400))


@given(libraries())
def test_frontiers_partition_their_chunks_within_the_budget(library) -> None:  # type: ignore[no-untyped-def]
    trees, relevance, budget = library
    frontiers = budgeted_frontiers(trees, relevance, budget)
    assert sum(f.slots(trees[f.doc_id]) for f in frontiers) <= budget
    places = [(f.doc_id, f.chunk) for f in frontiers]
    assert len(set(places)) == len(places)
    for frontier in frontiers:
        assert is_partition(trees[frontier.doc_id], frontier.chunk, frontier.nodes)
        assert all(node.level >= 1 for node in frontier.nodes)
        assert frontier.score == max(relevance[frontier.doc_id, frontier.chunk]) > 0


def levels(frontier: ChunkFrontier) -> list[int]:
    return [node.level for node in frontier.nodes]


def test_a_large_budget_opens_all_that_is_relevant_to_the_finest_level() -> None:
    tree = ContextTree(192, SMALL)
    relevance = {("a", 0): [0.1] * 8, ("a", 1): [0.0] * 8, ("a", 2): [1.0] * 8}
    frontiers = budgeted_frontiers({"a": tree}, relevance, 10_000)
    assert [f.chunk for f in frontiers] == [0, 2]
    assert all(levels(f) == [3] * 8 for f in frontiers)


def test_slots_go_where_the_relevance_is() -> None:
    tree = ContextTree(64, SMALL)
    relevance = {("a", 0): [0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0]}
    (frontier,) = budgeted_frontiers({"a": tree}, relevance, SMALL.path_slots)
    assert levels(frontier) == [1, 3, 3, 2]
    assert frontier.relevance == (0.0, 0.0, 0.9, 0.0)


def test_a_better_chunk_is_opened_first_and_to_its_end() -> None:
    tree = ContextTree(128, SMALL)
    relevance = {("a", 0): [0.2] * 8, ("a", 1): [0.9] * 8}
    for budget, opened in ((8, [1, 1]), (24, [3, 3, 3, 3, 2, 2]), (32, [3] * 8)):
        (only,) = budgeted_frontiers({"a": tree}, relevance, budget)
        assert (only.chunk, levels(only)) == (1, opened)
    first, second = budgeted_frontiers({"a": tree}, relevance, 40)
    assert (levels(first), levels(second)) == ([1, 1], [3] * 8)


def test_the_best_passage_is_at_its_finest_before_another_has_a_slot() -> None:
    tree = ContextTree(64 * 50, SMALL)
    relevance = {("a", c): [0.5] * 8 for c in range(50)} | {("a", 7): [0.0] * 6 + [0.6, 0.0]}
    frontiers = budgeted_frontiers({"a": tree}, relevance, SMALL.path_slots + 8)
    assert [(f.chunk, levels(f)) for f in frontiers] == [(0, [1, 1]), (7, [1, 2, 3, 3])]


def test_more_slots_never_give_a_worse_choice() -> None:
    tree = ContextTree(192, SMALL)
    relevance = {("a", c): [((7 * c + 3 * i) % 10) / 10 for i in range(8)] for c in range(3)}

    def best(budget: int) -> tuple[int, ...]:
        """Levels of the deepest nodes, the most relevant first; 0 for what is closed."""
        found = {}
        for f in budgeted_frontiers({"a": tree}, relevance, budget):
            for node in f.nodes:
                for leaf in range(node.start // 8, node.end // 8):
                    found[leaf] = node.level
        by_relevance = sorted(range(24), key=lambda n: (-relevance["a", n // 8][n % 8], n))
        return tuple(found.get(leaf, 0) for leaf in by_relevance)

    assert best(0) == (0,) * 24
    assert all(best(4 * n) <= best(4 * n + 4) for n in range(30))
    assert set(best(1000)) == {3}


def test_chunks_without_candidates_stay_closed() -> None:
    tree = ContextTree(640, SMALL)
    assert budgeted_frontiers({"a": tree}, {}, 100) == []
    assert budgeted_frontiers({"a": tree}, {("a", 3): [0.5] * 8}, 7) == []


def test_values_that_do_not_fit_the_tree_are_refused() -> None:
    with pytest.raises(ValueError, match="3 values for 8 nodes"):
        budgeted_frontiers({"a": ContextTree(64, SMALL)}, {("a", 0): [1.0] * 3}, 100)


def test_nodes_take_the_best_passage_in_proportion_to_what_they_share() -> None:
    spans = [(0, 100), (100, 200), (200, 300)]
    passages = [(50, 150, 0.8), (120, 140, 0.9), (290, 400, 0.5)]
    assert leaf_relevance(spans, passages) == pytest.approx([0.4, 0.9, 0.05])
    assert leaf_relevance(spans, []) == [0, 0, 0]


def test_an_empty_node_has_no_relevance() -> None:
    assert leaf_relevance([(5, 5)], [(0, 10, 1.0)]) == [0.0]


def test_a_cheaper_step_is_taken_where_the_best_one_does_not_fit() -> None:
    tree = ContextTree(64 + 4, SMALL)  # the halves of the second chunk have two slots each
    relevance = {("a", 0): [0.9] * 8, ("a", 1): [0.1] * leaves(tree, 1)}
    assert [f.chunk for f in budgeted_frontiers({"a": tree}, relevance, 5)] == [1]
