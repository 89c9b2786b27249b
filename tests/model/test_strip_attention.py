"""Chunks in strips: every token sees what the definition says, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from shared_samples import attached, ids, small_base
from torch import Tensor
from torch.nn import functional

from sharedcli.model import compressor_layer
from sharedcli.model.compressor import Compressor
from sharedcli.model.injected import KVCollector, LayerCall
from sharedcli.model.merged import MergedLayers
from sharedcli.model.sharedllm import Encoded, SharedLLM
from sharedcli.model.slots import kept_offsets
from sharedcli.model.strip_attention import attend, seen
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.strips import Strip

LENGTH = 50
STRIP = Strip(starts=(8, 24, 40), tokens=LENGTH, lead_tokens=8)


def seen_by(place: int) -> set[int]:
    """By the definition: the first token, those of the lead that are left, the chunk so far."""
    start = max(start for start in (0, *STRIP.starts) if start <= place)
    lead = 0 if start <= STRIP.starts[0] else start - (STRIP.lead_tokens - 1)
    return {0, *range(lead, place + 1)}


def allowed() -> Tensor:
    rows = [[key in seen_by(place) for key in range(LENGTH)] for place in range(LENGTH)]
    return torch.tensor(rows)


def relative(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return float((found - expected).norm() / expected.norm())


def by_hooks(
    model: SharedLLM,
    tokens: Tensor,
    kept: Sequence[int] = range(LENGTH),
    exit_layer: int = 0,
    pruning_layer: int = 0,
) -> Encoded:
    """What the base's own layers compute under the definition's mask.

    Those not ``kept`` stay what they are from ``exit_layer`` on, unseen from ``pruning_layer`` on.
    """
    stay = torch.zeros(LENGTH, dtype=torch.bool)
    stay[[0, *kept]] = True
    base, collector = model.base.model, KVCollector(model.injected_layers)
    states = summary = base.embed_tokens(tokens)
    positions = torch.arange(tokens.shape[1])[None]
    angles = base.rotary_emb(states, positions)
    call = LayerCall(model._owner, "compressor", collect=collector)
    for index in range(model.injected_layers):
        mask = allowed() & stay if index >= (pruning_layer or 99) else allowed()
        computed = base.layers[index](
            states,
            attention_mask=mask[None, None],
            position_ids=positions,
            position_embeddings=angles,
            shared=call,
        )
        goes_on = stay[:, None] | (index < (exit_layer or 99))
        states = torch.where(goes_on, computed, states)
        if index + 1 == model.config.summary_layer:
            summary = states
    keys = torch.stack([key for key, _ in collector.collected()])
    keys = model.rotary.unrotate(keys, positions[0])
    return Encoded(keys, torch.stack([value for _, value in collector.collected()]), summary)


def test_attention_is_that_of_the_mask() -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 4, LENGTH, 8, dtype=torch.float64)
    keys, values = torch.randn(2, 2, 2, LENGTH, 8, dtype=torch.float64)
    expected = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=allowed(), enable_gqa=True
    )
    assert relative(attend(STRIP, query, keys, values), expected) < 1e-12
    places = torch.tensor([0, 7, 8, 23, 24, 39, 40, 49])
    assert torch.equal(seen(STRIP, places), allowed()[places])


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
@pytest.mark.parametrize("rows", [7, 4096])
def test_merged_layers_read_strips(
    architecture: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressor_layer, "ROWS", rows)
    tokens = torch.stack([ids(LENGTH), ids(LENGTH, 1)])
    options = {"injected_layers": 3, "compressor_rank": 2, "used": True}
    with attached(small_base(architecture), **options) as model, torch.inference_mode():
        expected = by_hooks(model, tokens)
        found = MergedLayers(model).encode(tokens, strip=STRIP)
        kept = torch.tensor([9, 30, 31, 49])
        some = MergedLayers(model).encode(tokens, kept, STRIP)
        for name in ("keys", "values"):
            whole = getattr(expected, name)
            assert relative(getattr(found, name), whole) < 1e-5
            assert relative(getattr(some, name), whole[..., kept, :]) < 1e-5
        for states in (found.states, some.states):
            assert relative(states, expected.states) < 1e-5
        alone = MergedLayers(model).encode(tokens)
        assert relative(found.keys, alone.keys) > 1e-3  # the mask matters


@pytest.mark.parametrize("layers", [(0, 0), (0, 1), (0, 3), (0, 9), (1, 0), (1, 3), (2, 2), (3, 4)])
@pytest.mark.parametrize("summary_layer", [1, 3, 5])
@pytest.mark.parametrize("first", [0, 9])
def test_tokens_that_are_not_kept_leave_where_a_strip_says(
    layers: tuple[int, int], summary_layer: int, first: int
) -> None:
    tokens = torch.stack([ids(LENGTH), ids(LENGTH, 1)])
    places = [first, 30, 31, 49]
    kept = torch.tensor(places)
    strip = replace(STRIP, exit_layer=layers[0], pruning_layer=layers[1])
    options = {"injected_layers": 5, "compressor_rank": 2, "summary_layer": summary_layer}
    base = small_base(num_hidden_layers=6)
    with attached(base, used=True, **options) as model, torch.inference_mode():
        # the summary layer's states are wanted of all
        end, pruning = max(layers[0] or 99, summary_layer), max(layers[1] or 99, summary_layer + 1)
        expected = by_hooks(model, tokens, places, end, pruning)
        found = MergedLayers(model).encode(tokens, kept, strip)
        assert found.kept is kept
        for name in ("keys", "values"):
            assert relative(getattr(found, name), getattr(expected, name)[..., kept, :]) < 1e-5
        assert relative(found.states, expected.states) < 1e-5
        apart = relative(found.keys, by_hooks(model, tokens).keys[..., kept, :])
        # what the topmost of five layers makes of a token depends on it alone
        assert (apart > 1e-4) == (min(end + 1, pruning) < 4)


def test_without_a_list_of_kept_tokens_all_go_all_the_way() -> None:
    strip = replace(STRIP, exit_layer=1, pruning_layer=2)
    with attached(small_base(), injected_layers=3, used=True) as model:
        merged, tokens = MergedLayers(model), ids(LENGTH)[None]
        found = merged.encode(tokens, strip=strip)
        assert found.kept is None
        assert torch.equal(found.keys, merged.encode(tokens, strip=STRIP).keys)


@pytest.mark.parametrize("choice", ["first", "last"])
def test_what_is_stored_leaves_tokens_out_where_it_is_coarse(choice: Any) -> None:
    length = 64 * 5 + 13
    geometry = TreeGeometry(64, 5, 2, "nested", choice, 16, 1, 2)
    document, trees = ids(length), []
    with attached(small_base(num_hidden_layers=6), injected_layers=5, used=True) as model:
        compressor = Compressor(model, merged=MergedLayers(model))
        for stored_depth, layer in ((1, 0), (1, 2), (5, 0), (5, 2)):
            other = replace(geometry, stored_depth=stored_depth, pruning_layer=layer)
            tree = ContextTree(length, other)
            found = compressor.compress_stored(document, tree, range(tree.chunks))
            keys = torch.cat([one.levels[stored_depth][0] for one in found], 2)
            nodes = [n for c in range(tree.chunks) for n in tree.level(c, stored_depth)]
            one_by_one = compressor.compress_nodes(
                [document], [tree], [(0, node) for node in nodes], in_strips=True
            )
            same = torch.cat([one_by_one[0, node].keys for node in nodes], 2)
            assert relative(same, keys) < 1e-5
            trees.append(keys)
    assert relative(trees[1][:2], trees[0][:2]) < 1e-5  # layers that all tokens pass through
    assert relative(trees[1], trees[0]) > 1e-4
    assert relative(trees[3], trees[2]) < 1e-5  # 2 tokens for a slot: all go on


def test_of_an_opened_chunk_only_what_its_nodes_keep_goes_all_the_way() -> None:
    geometry = TreeGeometry(64, 5, 2, "nested", "last", 16, 1, exit_layer=1, pruning_layer=3)
    document = ids(64 * 2)
    tree = ContextTree(len(document), geometry)
    # one chunk: half of it coarse, a quarter finer, single tokens
    nodes = [tree.level(1, 1)[0], tree.level(1, 2)[2], *tree.level(1, 5)[-8:]]
    kept = torch.cat([kept_offsets(tree, node) for node in nodes]).unique() - (64 - 16)
    base = small_base(num_hidden_layers=6)
    with attached(base, geometry=geometry, injected_layers=5, used=True) as model:
        compressor = Compressor(model, merged=MergedLayers(model))
        found = compressor.compress_nodes([document], [tree], [(0, node) for node in nodes])
        alone = Strip((0,), 64 + 16, 0, 1, 3)
        expected = MergedLayers(model).encode(document[None, 64 - 16 :], kept, alone)
        for name in ("keys", "values"):
            made = torch.cat([getattr(found[0, node], name) for node in nodes], 2)
            places = torch.cat([found[0, node].place for node in nodes])
            order = torch.searchsorted(kept, places - (64 - 16))
            assert relative(made, getattr(expected, name)[:, 0][:, :, order]) < 1e-5
        by_hooks = Compressor(model).compress_nodes([document], [tree], [(0, nodes[0])])
        one, other = found[0, nodes[0]], by_hooks[0, nodes[0]]
        assert torch.equal(one.place, other.place)
        assert torch.equal(one.local, other.local)
        assert relative(one.summary, other.summary) < 1e-5
        assert relative(one.keys[:2], other.keys[:2]) < 1e-5
        assert relative(one.keys, other.keys) > 1e-4  # the others did not go all the way


@pytest.mark.parametrize("choice", ["first", "last", "mean"])
def test_a_documents_chunks_are_stored_strip_by_strip(choice: Any) -> None:
    geometry = TreeGeometry(16, 2, 2, "nested", choice, lead_tokens=8, strip_chunks=2)
    tree, document = ContextTree(16 * 5 + 3, geometry), ids(16 * 5 + 3)
    with attached(small_base(), geometry=geometry, injected_layers=3, used=True) as model:
        compressor = Compressor(model, merged=MergedLayers(model))
        stored = compressor.compress_stored(document, tree, range(tree.chunks))
        assert len(stored) == 6
        again = compressor.compress_stored(document, tree, [4, 5])  # a strip needs no other
        for one, other in zip(stored[4:], again, strict=True):
            for mine, theirs in zip(one.levels[2], other.levels[2], strict=True):
                assert relative(mine, theirs) < 1e-5
        nodes = [(0, node) for chunk in (0, 2, 3) for node in tree.level(chunk, 2)]
        alone = compressor.compress_nodes([document], [tree], nodes)
        for chunk, near in ((0, 1e-5), (2, 1e-5), (3, None)):
            own = torch.cat([alone[0, node].keys for node in tree.level(chunk, 2)], 2)
            apart = relative(stored[chunk].levels[2][0], own)
            # a strip's first chunk is read as it is alone; the others know more of what precedes
            assert apart < near if near else 1e-4 < apart < 1
        with pytest.raises(ValueError, match="only merged layers"):
            Compressor(model).compress_stored(document, tree, [0, 1])
