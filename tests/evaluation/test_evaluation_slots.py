"""``methods.slots``: compressed once, for all geometries, the same as compressed alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from sharedcli.engine.slots import node_slots
from sharedcli.evaluation.methods.contract import Context, Workbench
from sharedcli.evaluation.methods.registry import make_methods
from sharedcli.evaluation.methods.slots import SlotCache, shuffled
from sharedcli.model.compressor_pass import Reading
from sharedcli.model.merged import MergedLayers
from sharedcli.model.node_slots import assemble
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path
from sharedcli.tree.geometry import TreeGeometry

Bench = Callable[..., Workbench]
GEOMETRY = TreeGeometry(128, 2, 8, "nested", "last")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each pass of the compressor."""
    seen: list[int] = []
    encode, encode_each = SharedLLM.encode, MergedLayers.encode_each

    def counted(self: Any, tokens: torch.Tensor, *rest: Any, **options: Any) -> Any:
        seen.append(tokens.numel())
        return encode(self, tokens, *rest, **options)

    def counted_each(self: Any, readings: list[Reading]) -> Any:
        seen.extend(one.tokens.numel() for one in readings)
        return encode_each(self, readings)

    monkeypatch.setattr(SharedLLM, "encode", counted)
    monkeypatch.setattr(MergedLayers, "encode_each", counted_each)
    return seen


def _paths(tokens: int, geometry: TreeGeometry) -> tuple[ContextTree, list[Any]]:
    tree = ContextTree(tokens, geometry)
    return tree, [fixed_path(tree, chunk) for chunk in range(tree.chunks)]


def test_all_ratios_come_from_one_pass_and_equal_each_alone(
    make_bench: Bench, story: str, passes: list[int]
) -> None:
    bench = make_bench()
    passes.clear()  # a model tries its base once
    tokens = bench.plain(story)
    ratios = [GEOMETRY.at_ratio(ratio) for ratio in (2, 8, 32)]
    cache = SlotCache(tokens, bench.model.shared, ratios)
    for geometry in ratios:
        tree, frontiers = _paths(len(tokens), geometry)
        taken = cache.take(tree, frontiers, whole=False)
        assert sum(passes) == len(tokens)
        assert taken.cost > 0
        alone = bench.model.compressor
        before = list(passes)
        with torch.inference_mode():
            wanted = alone.compress_frontiers([tokens], [tree], [frontiers])
        passes[:] = before
        found = assemble(taken.chunks)
        torch.testing.assert_close(found.keys, wanted.keys, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.values, wanted.values, rtol=1e-4, atol=1e-4)
        assert torch.equal(found.place, wanted.place)


def test_running_text_reads_a_context_in_strips_and_questions_chunk_by_chunk(
    make_bench: Bench, story: str, passes: list[int]
) -> None:
    bench = make_bench()
    tokens = bench.plain(story)[: 128 * 8]
    geometry = replace(GEOMETRY, lead_tokens=32, strip_chunks=4)
    tree, frontiers = _paths(len(tokens), geometry)
    passes.clear()
    taken = SlotCache(tokens, bench.model.shared, merged=bench.model.indexer.merged).take(
        tree, frontiers, whole=False
    )
    assert passes == [512, 32 + 512]
    stored = bench.model.indexer.compress_stored(tokens, tree, range(8))
    for slots, chunk in zip(taken.chunks, stored, strict=True):
        for one in slots:
            same = node_slots(tree, one.node, *chunk.levels[2])
            torch.testing.assert_close(one.keys, same.keys, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(one.values, same.values, rtol=1e-4, atol=1e-4)
            assert torch.equal(one.place, same.place)
            assert torch.equal(one.local, same.local)
    passes.clear()
    SlotCache(tokens, bench.model.shared, merged=bench.model.indexer.merged).take(
        tree, frontiers, whole=True
    )
    assert 32 + 512 not in passes
    assert sum(passes) >= 8 * 128 + 7 * 32


def test_where_tokens_leave_early_each_frontier_is_read_for_itself(
    make_bench: Bench, story: str, passes: list[int]
) -> None:
    bench = make_bench()
    tokens = bench.plain(story)[:128]
    geometry = replace(GEOMETRY, exit_layer=1, pruning_layer=2)
    tree = ContextTree(len(tokens), geometry)
    cache = SlotCache(tokens, bench.model.shared, merged=bench.model.indexer.merged)
    passes.clear()
    coarse, mixed = tree.level(0, 1), (tree.level(0, 1)[0], *tree.level(0, 2)[2:])
    for frontier in (coarse, mixed, coarse):
        taken = cache.take(tree, [frontier], whole=True)
        assert [slots.node for slots in taken.chunks[0]] == list(frontier)
        alone = bench.model.indexer.compress_nodes([tokens], [tree], [(0, n) for n in frontier])
        for slots in taken.chunks[0]:
            assert torch.equal(slots.keys, alone[0, slots.node].keys)
    assert len(passes) == 2 + 3  # a frontier that is known is not read again
    plain = ContextTree(len(tokens), GEOMETRY)
    passes.clear()
    for frontier in (plain.level(0, 1), plain.level(0, 2)):
        cache.take(plain, [frontier], whole=True)
    assert len(passes) == 1


def test_questions_and_budgets_share_what_is_compressed(
    make_bench: Bench, story: str, passes: list[int]
) -> None:
    bench = make_bench(trained=True, levels="nested", slot_choice="last")
    passes.clear()
    context = Context.of_text(story, bench)
    methods = make_methods(["sharedllm@64", "sharedllm@200", "sharedllm+passages"], bench)
    for question in ("What was written on day 9?", "What was written on day 9, of the sea?"):
        for method in methods.values():
            opened = method.ask(context, question, 8)
            assert not opened.slots or opened.detail["compress_seconds"] > 0
    assert sum(passes) <= len(context.tokens)
    again = methods["sharedllm@64"].ask(context, "What was written on day 9?", 8)
    assert again.saved > 0


def test_shuffled_chunks_keep_their_slots_at_other_places(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    tokens = bench.plain(story)[:512]
    tree, frontiers = _paths(512, GEOMETRY)
    chunks = (
        SlotCache(tokens, bench.model.shared, merged=bench.model.indexer.merged)
        .take(tree, frontiers, whole=False)
        .chunks
    )
    moved = shuffled(chunks, 0)
    assert [c[0].node.chunk for c in moved] != [0, 1, 2, 3]
    assert sorted(c[0].node.chunk for c in moved) == [0, 1, 2, 3]
    there, here = assemble(moved), assemble(chunks)
    assert torch.equal(there.place, here.place)
    order = [c[0].node.chunk for c in moved]
    each = [part.keys for part in (assemble([chunk]) for chunk in chunks)]
    assert torch.equal(there.keys, torch.cat([each[chunk] for chunk in order], dim=3))
    with pytest.raises(ValueError, match="no other order"):
        shuffled(chunks[:1], 0)
