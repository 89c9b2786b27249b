"""Split points with noise: what noise may not change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import geometries

from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path, is_partition, search_path
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.jitter import JitteredTree
from sharedcli.tree.windows import node_windows


@st.composite
def jittered(draw: st.DrawFn) -> JitteredTree:
    geometry = draw(geometries())
    tokens = draw(st.integers(1, 2 * geometry.chunk_tokens))
    jitter = draw(st.floats(0.01, 2.0))
    return JitteredTree(tokens, geometry, jitter=jitter, seed=draw(st.integers(0, 1 << 32)))


@given(jittered())
def test_levels_and_paths_still_partition_the_chunk(tree: JitteredTree) -> None:
    for chunk in range(tree.chunks):
        for level in range(1, tree.geometry.depth + 1):
            assert is_partition(tree, chunk, tree.level(chunk, level))
        assert is_partition(tree, chunk, fixed_path(tree, chunk))
        assert is_partition(tree, chunk, search_path(tree, chunk, lambda node: -node.index))


@given(jittered())
def test_full_chunks_keep_exact_slot_counts(tree: JitteredTree) -> None:
    for chunk in range(tree.tokens // tree.geometry.chunk_tokens):
        for node in tree.nodes(chunk):
            assert node.tokens >= tree.geometry.slots_per_node
            assert len(node_windows(tree, node)) == tree.geometry.slots_per_node


@given(jittered())
def test_cuts_depend_on_the_seed_alone(tree: JitteredTree) -> None:
    again = JitteredTree(tree.tokens, tree.geometry, jitter=tree.jitter, seed=tree.seed)
    backwards = [list(again.nodes(chunk)) for chunk in reversed(range(again.chunks))]
    assert backwards[::-1] == [list(tree.nodes(chunk)) for chunk in range(tree.chunks)]


@given(jittered())
def test_full_chunks_are_cut_alike_so_that_they_share_a_batch(tree: JitteredTree) -> None:
    full = tree.tokens // tree.geometry.chunk_tokens
    lengths = {tuple(node.tokens for node in tree.nodes(chunk)) for chunk in range(full)}
    assert len(lengths) <= 1


@given(jittered())
def test_the_deepest_split_is_in_the_middle(tree: JitteredTree) -> None:
    for chunk in range(tree.chunks):
        for node in tree.level(chunk, tree.geometry.depth - 1):
            assert tree.split(node) == node.tokens // 2


@given(geometries(), st.integers(1, 200), st.integers(0, 9))
def test_no_noise_is_the_plain_tree(geometry: TreeGeometry, tokens: int, seed: int) -> None:
    plain, still = ContextTree(tokens, geometry), JitteredTree(tokens, geometry, 0.0, seed)
    assert [list(plain.nodes(c)) for c in range(plain.chunks)] == [
        list(still.nodes(c)) for c in range(still.chunks)
    ]


def test_noise_has_the_asked_spread_around_the_middle() -> None:
    geometry = TreeGeometry(1024, 2, 1)
    cuts = []
    for seed in range(400):
        tree = JitteredTree(1024, geometry, jitter=0.1, seed=seed)
        cuts.append(tree.split(tree.root(0)))
    mean = sum(cuts) / len(cuts)
    spread = (sum((cut - mean) ** 2 for cut in cuts) / len(cuts)) ** 0.5
    assert abs(mean - 512) < 20
    assert abs(spread - 102.4) < 15
