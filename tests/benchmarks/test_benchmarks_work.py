"""Operations, bytes and shares of the ceiling, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from sharedcli.benchmarks.work import (
    Read,
    ReadSequence,
    Work,
    compress,
    node_sequences,
    roofline,
    strip_sequences,
    total,
)
from sharedcli.measuring.ceiling import Ceiling
from sharedcli.measuring.parameters import Parameters
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import fixed_path
from sharedcli.tree.geometry import TreeGeometry

COUNTS = Parameters(
    layer=1000,
    layers=2,
    head=500,
    injected=1,
    compressor_update=20,
    decoder_update=30,
    cross=0,
    hidden=10,
    cached=4,
    width=10,
    inner=20,
)


def test_a_pass_of_three_tokens_after_five() -> None:
    # matrices 2*3*2000, head 2*500; pairs 2*(3*5+6)=42 at 4*10 each
    # bytes 2*(2000+500 + 4*2*8)
    assert Read(COUNTS, 2).forward(3, 5) == Work(12000 + 1000 + 40 * 42, 2 * (2500 + 64))


def test_slots_are_read_in_injected_layers_only() -> None:
    plain, injected = Read(COUNTS, 2), Read(COUNTS, 2, slots=7, more=30)
    more = injected.forward(3, 0), plain.forward(3, 0)
    assert more[0].flops - more[1].flops == 2 * 3 * 30 + 40 * 3 * 7
    assert more[0].bytes - more[1].bytes == 2 * (30 + 4 * 7)


def test_keys_that_every_layer_reads() -> None:
    found = Read(COUNTS, 2, read_everywhere=7).forward(1, 0)
    plain = Read(COUNTS, 2).forward(1, 0)
    assert found.flops - plain.flops == 40 * 2 * 7
    assert found.bytes - plain.bytes == 2 * 4 * 2 * 7


def test_decoding_is_one_pass_per_token_but_the_first() -> None:
    read = Read(COUNTS, 2)
    assert read.decode(1, 9) == Work()
    assert read.decode(3, 9) == total([read.forward(1, 9), read.forward(1, 10)])


def test_compressing_two_sequences() -> None:
    found = compress(COUNTS, 2, [ReadSequence(4, 10), ReadSequence(3, 6)], layers=1)
    # matrices 2*7*(1000+20); pairs 10+6 at 40; one pass of the weights, 4 values a token
    assert found == Work(2 * 7 * 1020 + 40 * 16, 2 * (1020 + 4 * 7))


def test_prefixes_are_read_with_what_they_begin() -> None:
    tree = ContextTree(16, TreeGeometry(chunk_tokens=16, depth=2, slots_per_node=2))
    # level 1: [0,8) [8,16); level 2: [0,4) [4,8) [8,12) [12,16)

    def lengths(tree: ContextTree, nodes: Iterable[Node]) -> list[int]:
        found = node_sequences(tree, nodes)
        assert all(one.pairs == sum(range(one.tokens + 1)) for one in found)
        return sorted(one.tokens for one in found)

    assert lengths(tree, tree.nodes(0)) == [4, 4, 8, 8]
    assert lengths(tree, fixed_path(tree, 0)) == [4, 4, 8]
    led = ContextTree(tree.tokens, replace(tree.geometry, lead_tokens=6))
    assert lengths(led, fixed_path(led, 0)) == [8, 10, 10]


def test_strips_are_read_once() -> None:
    geometry = TreeGeometry(8, 1, 2, "nested", lead_tokens=4, strip_chunks=2)
    first, second, *rest = strip_sequences(ContextTree(8 * 8, geometry))
    assert first.tokens == 16
    # 36 pairs within each chunk; the second chunk's tokens see 4 more: the first, and 3 before it
    assert first.pairs == 36 + 8 * 4 + 36
    assert second.tokens == 4 + 16
    assert second.pairs == 78 + 8 * 4 + 36  # the first chunk with its lead: 12 tokens
    assert rest == [second, second]


def test_tokens_that_are_left_out_of_layers_are_not_counted_there() -> None:
    geometry = TreeGeometry(16, 1, 1, "nested", exit_layer=2, pruning_layer=3)
    (read,) = strip_sequences(ContextTree(16, geometry))
    assert read == ReadSequence(16, 136, kept=2, exit_layer=2, pruning_layer=3)
    assert read.below(2) == (32, 0, 272)
    assert read.below(4) == (32 + 2 * 2, 14, 272 + 136 / 8 + 136 / 64)
    found = compress(COUNTS, 2, [ReadSequence(4, 8, 1, exit_layer=1)], layers=2)
    # one layer of 1,000 + 20 for all and one for the token that is kept; of three keys and values
    assert found.flops == 2 * 1020 * (4 + 1) + 2 * 10 * 4 * 3 + 40 * (8 + 2)
    assert (
        strip_sequences(ContextTree(16, replace(geometry, slots_per_node=8)))[0].below(4)[0] == 64
    )


def test_the_nearer_ceiling_bounds() -> None:
    ceiling = Ceiling(flops=1000.0, bytes=100.0)
    compute = roofline(Work(2000, 50), 4.0, ceiling)
    assert (compute["bound"], compute["share"]) == ("compute", pytest.approx(0.5))
    memory = roofline(Work(100, 50), 4.0, ceiling)
    assert (memory["bound"], memory["share"]) == ("memory", pytest.approx(0.125))
    assert roofline(Work(1, 1), 0.0, ceiling)["share"] == 0.0
