"""The compressor against the base's own cache, and against itself done one by one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from shared_samples import GEOMETRY, attached, compress, greatest, ids
from torch import Tensor
from transformers import DynamicCache

from sharedcli.model.compressor import Compressor
from sharedcli.model.node_slots import NodeSlots, assemble
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import fixed_path, search_path
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.jitter import JitteredTree
from sharedcli.tree.windows import node_windows

EVERY_TOKEN = TreeGeometry(16, 2, 4)
"""Leaves of four tokens with four slots: at the deepest level nothing is left out."""


def own_cache(base: Any, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys, rotated, and values that the base itself keeps of ``tokens`` [T], layer by layer."""
    cache = DynamicCache(config=base.config)
    base(tokens[None], past_key_values=cache, use_cache=True)
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def every_node(tree: ContextTree) -> list[tuple[int, Node]]:
    return [(0, node) for chunk in range(tree.chunks) for node in tree.nodes(chunk)]


def same(left: NodeSlots, right: NodeSlots, tolerance: float = 1e-10) -> bool:
    return (
        left.node == right.node
        and torch.equal(left.local, right.local)
        and torch.equal(left.place, right.place)
        and greatest(left.keys, right.keys) < tolerance
        and greatest(left.values, right.values) < tolerance
        and greatest(left.summary, right.summary) < tolerance
    )


def test_a_nodes_slots_are_the_bases_own_cache_of_its_lowest_layers(any_base: Any) -> None:
    base, document = any_base.model, ids(37)
    tree = ContextTree(37, GEOMETRY)
    with attached(base, injected_layers=3) as model:
        found = Compressor(model).compress_nodes([document], [tree], every_node(tree))
        for (_, node), slots in found.items():
            cache = own_cache(base, document[node.start : node.end])
            kept = [start - node.start for start, _ in node_windows(tree, node)]
            assert slots.local.tolist() == kept
            assert slots.place.tolist() == [node.start + offset for offset in kept]
            assert slots.keys.shape == (3, 2, len(kept), 16)
            rotated = model.rotary.rotate(slots.keys, slots.local)
            for layer in range(3):
                assert greatest(rotated[layer], cache[layer][0][:, kept]) < 1e-6
                assert greatest(slots.values[layer], cache[layer][1][:, kept]) < 1e-6


def test_a_left_child_is_a_prefix_of_its_parent_and_a_right_child_is_not(any_base: Any) -> None:
    document = ids(16)
    with attached(any_base.model) as model:
        parent = model.encode(document[None])
        left, right = model.encode(document[None, :8]), model.encode(document[None, 8:])
    assert greatest(left.keys, parent.keys[..., :8, :]) < 1e-10
    assert greatest(left.values, parent.values[..., :8, :]) < 1e-10
    assert greatest(left.states, parent.states[:, :8]) < 1e-10
    # Unrotated, the first layer knows no place and no neighbour; from the second on both differ.
    assert greatest(right.keys[0], parent.keys[0, ..., 8:, :]) < 1e-6
    assert greatest(right.keys[1], parent.keys[1, ..., 8:, :]) > 1e-2


@pytest.mark.parametrize("levels", ["per_node", "nested"])
@pytest.mark.parametrize("choice", ["first", "last", "mean", "pooled"])
@pytest.mark.parametrize("tokens", [1, 2, 15, 16, 45])
def test_all_nodes_together_equal_each_alone(
    tiny_base: Any, levels: Any, choice: Any, tokens: int
) -> None:
    geometry = TreeGeometry(16, 2, 2, levels, choice)
    tree, document = ContextTree(tokens, geometry), ids(tokens)
    with attached(tiny_base("llama", "float64").model, geometry=geometry, used=True) as model:
        compressor, wanted = Compressor(model), every_node(tree)
        together = compressor.compress_nodes([document], [tree], wanted)
        for key in wanted:
            alone = compressor.compress_nodes([document], [tree], [key])
            assert same(together[key], alone[key])
            assert together[key].keys.shape[2] == tree.slots(key[1])


def test_the_size_of_a_pass_changes_nothing(tiny_base: Any) -> None:
    tree, document = ContextTree(45, GEOMETRY), ids(45)
    with attached(tiny_base("llama", "float64").model) as model:
        wanted = every_node(tree)
        one = Compressor(model, batch_tokens=1).compress_nodes([document], [tree], wanted)
        all_in_one = Compressor(model).compress_nodes([document], [tree], wanted)
        assert all(same(one[key], all_in_one[key]) for key in wanted)


def test_a_chunk_is_read_no_further_than_its_last_wanted_node(
    tiny_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, document = ContextTree(45, TreeGeometry(16, 2, 2, "nested", lead_tokens=4)), ids(45)
    wanted = [(0, node) for node in (*tree.level(1, 2)[:2], tree.level(2, 2)[0])]
    with attached(tiny_base("llama", "float64").model) as model:
        whole = Compressor(model).compress_nodes([document], [tree], every_node(tree))
        encode, lengths = model.encode, []
        monkeypatch.setattr(
            model, "encode", lambda tokens, layers: (
                lengths.append(tokens.shape[1]), encode(tokens, layers)
            )[1],
        )  # fmt: skip
        some = Compressor(model).compress_nodes([document], [tree], wanted)
    assert lengths == [4 + 8, 4 + 3]
    assert all(same(some[key], whole[key]) for key in wanted)


@pytest.mark.parametrize("levels", ["per_node", "nested"])
@pytest.mark.parametrize("lead", [5, 24])
def test_slots_know_the_lead_before_their_sequence(tiny_base: Any, levels: Any, lead: int) -> None:
    base, document = tiny_base("llama", "float64").model, ids(45)
    tree = ContextTree(45, TreeGeometry(16, 2, 2, levels, lead_tokens=lead))
    with attached(base, injected_layers=2) as model:
        found = Compressor(model).compress_nodes([document], [tree], every_node(tree))
        for (_, node), slots in found.items():
            read = tree.root(node.chunk) if levels == "nested" else node
            start = max(0, read.start - lead)
            cache = own_cache(base, document[start : read.end])
            kept = [first - start for first, _ in node_windows(tree, node)]
            assert slots.local.tolist() == kept
            assert slots.place.tolist() == [start + offset for offset in kept]
            rotated = model.rotary.rotate(slots.keys, slots.local)
            for layer in range(2):
                keys, values = cache[layer]
                assert greatest(rotated[layer], keys[:, kept]) < 1e-6
                assert greatest(slots.values[layer], values[:, kept]) < 1e-10


@pytest.mark.parametrize("choice", ["first", "last", "mean"])
def test_what_is_stored_is_the_deepest_stored_levels_slots(tiny_base: Any, choice: Any) -> None:
    geometry = TreeGeometry(32, 3, 2, "nested", choice, lead_tokens=8, stored_depth=2)
    tree, document = ContextTree(75, geometry), ids(75)
    with attached(tiny_base("llama", "float64").model, geometry=geometry) as model:
        compressor = Compressor(model)
        found = compressor.compress_stored(document, tree, range(tree.chunks))
        wanted = compressor.compress_nodes([document], [tree], every_node(tree))
    for chunk, slots in enumerate(found):
        nodes = [wanted[0, node] for node in tree.level(chunk, 2)]
        keys, values = slots.levels.pop(2)
        assert not slots.levels
        assert greatest(keys, torch.cat([one.keys for one in nodes], 2)) < 1e-10
        assert greatest(values, torch.cat([one.values for one in nodes], 2)) < 1e-10
        stored = [wanted[0, node].summary for node in tree.stored_nodes(chunk)]
        assert greatest(slots.summaries, torch.stack(stored)) < 1e-10


@pytest.mark.parametrize("levels", ["per_node", "nested"])
def test_every_path_of_a_stored_tree_equals_the_path_compressed_online(
    tiny_base: Any, levels: Any
) -> None:
    geometry = TreeGeometry(16, 2, 2, levels)
    tree, document = ContextTree(45, geometry), ids(45)
    with attached(tiny_base("qwen3", "float64").model, geometry=geometry) as model:
        compressor = Compressor(model)
        stored = {
            slots.node: slots
            for chunk in compressor.compress_chunks(document, tree, range(tree.chunks))
            for slots in chunk
        }
        for turns in itertools.product((0, 1), repeat=2):
            paths = [
                search_path(tree, chunk, lambda n, t=turns: n.index % 2 == t[n.level - 1])
                for chunk in range(tree.chunks)
            ]
            online = compressor.compress_frontiers([document], [tree], [paths])
            static = assemble([[stored[node] for node in path] for path in paths])
            for name in ("keys", "values"):
                assert greatest(getattr(static, name), getattr(online, name)) < 1e-10
            for name in ("chunk", "local", "place", "chunks", "tokens"):
                assert torch.equal(getattr(static, name), getattr(online, name)), name


def test_contexts_of_a_batch_are_compressed_as_if_alone(tiny_base: Any) -> None:
    first, second = ids(40), ids(21, 1)
    with attached(tiny_base("llama", "float64").model) as model:
        both = compress(model, first, second)
        assert both.valid is not None
        for row, context in enumerate((first, second)):
            alone = compress(model, context)
            kept = both.valid[row]
            assert int(kept.sum()) == alone.slots
            assert greatest(both.keys[:, row][:, :, kept], alone.keys[:, 0]) < 1e-10
            assert torch.equal(both.place[row, kept], alone.place[0])
            assert both.tokens[row] == alone.tokens[0] == len(context)


def test_a_context_without_a_chunk_in_a_batch_has_no_slot(tiny_base: Any) -> None:
    with attached(tiny_base("llama", "float64").model) as model:
        both = compress(model, ids(16), torch.empty(0, dtype=torch.long))
        assert both.valid is not None
        assert both.valid.sum(-1).tolist() == [6, 0]
        assert both.chunks.tolist() == [1, 0]
        nothing = compress(model, torch.empty(0, dtype=torch.long))
        assert nothing.slots == 0
        assert model.prepare(nothing) is None


def test_only_some_chunks_are_numbered_as_they_come(tiny_base: Any) -> None:
    tree, document = ContextTree(64, GEOMETRY), ids(64)
    with attached(tiny_base("llama", "float64").model) as model:
        paths = [fixed_path(tree, chunk) for chunk in (1, 3)]
        slots = Compressor(model).compress_frontiers([document], [tree], [paths])
    assert slots.chunk.tolist() == [[0] * 6 + [1] * 6]
    assert slots.place[0, 0] == 0  # the context begins with the first chunk that is opened
    assert slots.place[0, 6] == 32
    assert (slots.chunks.tolist(), slots.tokens.tolist()) == ([2], [48])


def test_a_nodes_summary_is_the_state_at_its_last_token(any_base: Any) -> None:
    base, document = any_base.model, ids(16)
    tree = ContextTree(16, GEOMETRY)
    with attached(base, summary_layer=2) as model:
        wanted = every_node(tree)
        slots = Compressor(model).compress_nodes([document], [tree], wanted)
        vectors = Compressor(model).summaries([document], [tree], wanted)
    for _, node in wanted:
        states = base(document[None, node.start : node.end], output_hidden_states=True)
        expected = states.hidden_states[2][0, -1]
        assert greatest(slots[0, node].summary, expected) < 1e-6
        assert greatest(vectors[0, node], expected) < 1e-6


def test_search_vectors_run_no_layer_above_theirs(tiny_base: Any) -> None:
    base = tiny_base("llama", "float64").model
    tree = ContextTree(16, GEOMETRY)
    ran: list[int] = []
    handles = [
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, layer in enumerate(base.model.layers)
    ]
    with attached(base, injected_layers=3) as model:
        ran.clear()
        Compressor(model).summaries([ids(16)], [tree], every_node(tree))
        assert set(ran) == {0}
        Compressor(model).compress_nodes([ids(16)], [tree], every_node(tree))
        assert set(ran) == {0, 1, 2}
    for handle in handles:
        handle.remove()


def test_without_updates_of_its_own_the_compressor_has_no_gradient(tiny_base: Any) -> None:
    base = tiny_base("llama", "float64").model
    with attached(base, decoder_rank=2) as model:
        assert not compress(model, ids(32)).keys.requires_grad
    with attached(base, compressor_rank=2, used=True) as model:
        slots = compress(model, ids(32))
        (slots.keys.square().sum() + slots.values.square().sum()).backward()
        used = {n: p.grad for n, p in model.adapter.compressor.named_parameters()}
        # What only feeds layers above the last injected key and value is not reached.
        unreached = {n for n, grad in used.items() if grad is None or not grad.any()}
        assert all(".1_" in n and ".1_k" not in n and ".1_v" not in n for n in unreached)
        assert len(unreached) < len(used) / 2


def test_a_jittered_tree_compresses_to_exact_counts(tiny_base: Any) -> None:
    tree, document = JitteredTree(48, GEOMETRY, jitter=0.3, seed=5), ids(48)
    with attached(tiny_base("llama", "float64").model) as model:
        paths = [fixed_path(tree, chunk) for chunk in range(3)]
        assert {node.tokens for node in paths[0]} != {8, 4}
        slots = Compressor(model).compress_frontiers([document], [tree], [paths])
        assert slots.slots == 3 * GEOMETRY.path_slots
        assert slots.valid is None


def test_nothing_to_assemble_is_refused() -> None:
    with pytest.raises(ValueError, match="no node was chosen"):
        assemble([])
