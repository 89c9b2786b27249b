"""Which chunks are read together, and what each sees."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import trees

from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.strips import Strip


def test_a_short_documents_chunks_are_shared_out() -> None:
    geometry = TreeGeometry(16, 2, 2, "nested", lead_tokens=8, strip_chunks=8)

    def strips(chunks: int) -> list[list[int]]:
        tree = ContextTree(16 * chunks, geometry).shared_among(2)
        return [list(strip) for strip in tree.strips(range(chunks))]

    assert strips(1) == [[0]]
    assert strips(3) == [[0], [1, 2]]
    assert strips(6) == [[0, 1, 2], [3, 4, 5]]
    assert [len(strip) for strip in strips(17)] == [4, 4, 4, 5]
    assert [len(strip) for strip in strips(70)] == [7] * 10
    many = ContextTree(16 * 70, geometry).shared_among(16)
    assert sorted(map(len, many.strips(range(70)))) == [4] * 10 + [5] * 6
    assert sorted(map(len, strips(129))) == [7] * 15 + [8] * 3
    tree = ContextTree(16 * 64, geometry)
    found = [list(strip) for strip in tree.strips([6, 7, 8, 10, 11, 15, 16])]
    assert found == [[6, 7], [8], [10, 11], [15], [16]]


@given(st.integers(1, 200), st.integers(1, 8), st.integers(1, 9))
def test_strips_are_alike_and_as_few_rounds_as_can_be(chunks: int, most: int, workers: int) -> None:
    geometry = TreeGeometry(16, 2, 2, "nested", lead_tokens=8, strip_chunks=most)
    tree = ContextTree(16 * chunks, geometry).shared_among(workers)
    strips = list(tree.strips(range(chunks)))
    assert [chunk for strip in strips for chunk in strip] == list(range(chunks))
    lengths = [len(strip) for strip in strips]
    assert max(lengths) <= most
    assert max(lengths) - min(lengths) <= 1
    assert len(strips) == min(chunks, workers * ceil(chunks / (most * workers)))


@given(trees("nested"), st.data())
def test_every_token_sees_its_chunk_and_no_more_than_a_lead(
    tree: ContextTree, data: st.DataObject
) -> None:
    chunks = data.draw(st.sampled_from(list(tree.strips(range(tree.chunks)))))
    strip, lead = Strip.of(tree, chunks), tree.geometry.strip_lead
    assert strip.starts[0] + sum(tree.root(chunk).tokens for chunk in chunks) == strip.tokens
    assert strip.starts[0] == min(lead, tree.root(chunks[0]).start)
    views = strip.views()
    assert [start for _, start, _ in views] == [0, *strip.starts[1:]]
    assert [end for _, _, end in views] == [*strip.starts[1:], strip.tokens]
    assert views[0][0] == 0
    for first, start, _ in views[1:]:
        before = start - first + (first > 0)  # the strip's first token is seen besides
        assert before == min(lead, start)


def test_threads_do_not_change_what_a_token_sees() -> None:
    geometry = TreeGeometry(512, 5, 16, "nested", "last", 256, stored_depth=1, strip_chunks=8)
    tree = ContextTree(512 * 4, geometry)
    for workers in (1, 2, 4, 16):
        shared = tree.shared_among(workers)
        strips = [Strip.of(shared, chunks) for chunks in shared.strips(range(4))]
        assert {strip.lead_tokens for strip in strips} == {128}
        assert len(strips) == min(workers, 4)
