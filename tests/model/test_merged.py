"""Merged layers against the hooks: equal in float64, and in bfloat16 as near to the truth.

In float64 as far as that goes: ``transformers`` computes norms and angles in float32.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from shared_samples import GEOMETRY, attached, ids, small_base
from torch import Tensor, nn

from sharedcli.errors import UsageError
from sharedcli.model import compressor, products
from sharedcli.model.compressor import Compressor
from sharedcli.model.compressor_layer import CompressorLayer
from sharedcli.model.compressor_pass import Reading
from sharedcli.model.merged import MergedLayers, is_mergeable
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.settings import Settings
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry

FAMILIES = ["Llama", "Mistral", "Qwen2", "Qwen3"]


def with_norms(base: Any) -> Any:
    """``base`` with norms that are not all ones, which would hide that they are folded in."""
    generator = torch.Generator().manual_seed(4)
    for name, parameter in base.named_parameters():
        if "norm" in name:
            noise = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.data.copy_(0.5 + noise)
    return base


def relative(found: Tensor, expected: Tensor) -> float:
    """Distance in units of what is expected."""
    assert found.shape == expected.shape
    return float((found - expected).detach().norm() / expected.detach().norm())


def differences(model: SharedLLM, tokens: Tensor) -> dict[str, float]:
    found, expected = MergedLayers(model).encode(tokens), model.encode(tokens)
    return {
        name: relative(getattr(found, name), getattr(expected, name))
        for name in ("keys", "values", "states")
    }


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("summary_layer", [1, 2])
def test_it_is_what_the_hooks_compute(architecture: str, summary_layer: int) -> None:
    tokens = torch.stack([ids(20), ids(20, 1)])
    options = {"compressor_rank": 2, "summary_layer": summary_layer, "used": True}
    with attached(with_norms(small_base(architecture)), **options) as model:
        assert is_mergeable(model)
        assert max(differences(model, tokens).values()) < 1e-5
    with attached(with_norms(small_base(architecture)), injected_layers=3, used=True) as plain:
        assert max(differences(plain, tokens).values()) < 1e-5


def test_updates_of_full_rank_are_merged_too() -> None:
    with attached(small_base(), full_layers=True, used=True) as model:
        assert max(differences(model, ids(20)[None]).values()) < 1e-5


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        {"rope_type": "linear", "factor": 2.0},
    ],
)
def test_scaled_rotations_are_as_if_taken_back(scaling: dict[str, Any]) -> None:
    base = small_base("Llama", rope_parameters={"rope_theta": 10_000.0, **scaling})
    with attached(base) as model:
        assert (model.rotary.scaling != 1) == (scaling["rope_type"] == "yarn")
        assert max(differences(model, ids(20)[None]).values()) < 1e-5


def test_layers_that_are_not_kept_give_the_same() -> None:
    tokens = torch.stack([ids(20), ids(20, 1)])
    with attached(with_norms(small_base()), compressor_rank=2, used=True) as model:
        kept, anew = MergedLayers(model).encode(tokens), MergedLayers(model, kept=False)
        for _ in range(2):  # layers are laid out again, not used up
            again = anew.encode(tokens)
            assert max(relative(again.keys, kept.keys), relative(again.states, kept.states)) < 1e-6


def test_layers_of_several_sequences_are_laid_out_by_the_threads_that_run_them(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(2)
    several = [Reading(ids(20)[None]), Reading(ids(12, 1)[None])]
    laid_out, ran = set[int](), set[int]()
    lay_out, run = MergedLayers._laid_out, CompressorLayer.__call__

    def noted(layers: MergedLayers, index: int) -> CompressorLayer:
        laid_out.add(threading.get_ident())
        return lay_out(layers, index)

    def noted_too(layer: CompressorLayer, *args: Any) -> Any:
        ran.add(threading.get_ident())
        return run(layer, *args)

    with attached(with_norms(small_base()), compressor_rank=2, used=True) as model:
        kept = MergedLayers(model).encode_each(several)
        monkeypatch.setattr(MergedLayers, "_laid_out", noted)
        monkeypatch.setattr(CompressorLayer, "__call__", noted_too)
        anew = MergedLayers(model, kept=False).encode_each(several)
    assert all(
        relative(a.keys, b.keys) < 1e-6 and relative(a.states, b.states) < 1e-6
        for a, b in zip(anew, kept, strict=True)
    )
    assert laid_out and ran
    assert threading.get_ident() not in laid_out | ran


@pytest.mark.parametrize("alone", [True, False])
def test_sequences_of_other_lengths_are_read_beside_the_longest(
    monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    monkeypatch.setattr(compressor, "_reads_each_alone", lambda _device: alone)
    geometry = TreeGeometry(16, 2, 2, "nested", "last")
    tree, document = ContextTree(64, geometry), ids(64)
    shapes: list[list[tuple[int, ...]]] = []
    with attached(small_base(), geometry=geometry, compressor_rank=2, used=True) as model:
        layers = MergedLayers(model)
        plain = layers.encode_each

        def counted(readings: list[Reading]) -> Any:
            shapes.append([tuple(one.tokens.shape) for one in readings])
            return plain(readings)

        monkeypatch.setattr(layers, "encode_each", counted)
        # 16, 12 and 4 tokens of three chunks: the last is below two thirds of the longest
        wanted = [(0, tree.root(0))]
        wanted += [(0, node) for node in tree.level(1, 2) if node.end <= 16 + 12]
        wanted += [(0, next(iter(tree.level(2, 2))))]
        found = Compressor(model, merged=layers).compress_nodes([document], [tree], wanted)
        for key in wanted:
            (same,) = Compressor(model).compress_nodes([document], [tree], [key]).values()
            assert relative(found[key].keys, same.keys) < 1e-5
            assert relative(found[key].values, same.values) < 1e-5
            assert relative(found[key].summary, same.summary) < 1e-5
    # side by side each as it is, else with padding in one pass
    assert shapes == ([[(1, 16), (1, 12), (1, 4)]] if alone else [[(2, 16)], [(1, 4)]])


def test_only_the_wanted_tokens_are_kept() -> None:
    tokens, kept = torch.stack([ids(20), ids(20, 1)]), torch.tensor([3, 7, 19])
    with attached(small_base(), compressor_rank=2, used=True) as model:
        layers = MergedLayers(model)
        some, every = layers.encode(tokens, kept), layers.encode(tokens)
        assert torch.equal(some.keys, every.keys[..., kept, :])
        assert torch.equal(some.values, every.values[..., kept, :])
        assert torch.equal(some.states, every.states)


@pytest.mark.parametrize("levels", ["per_node", "nested"])
@pytest.mark.parametrize("choice", ["first", "last", "mean", "pooled"])
@pytest.mark.parametrize("tokens", [1, 15, 45])
def test_what_is_stored_is_what_nodes_are_compressed_to(
    levels: Any, choice: Any, tokens: int
) -> None:
    geometry = TreeGeometry(16, 2, 2, levels, choice)
    tree, document = ContextTree(tokens, geometry), ids(tokens)
    chunks = range(tree.chunks)
    with attached(small_base(), geometry=geometry, compressor_rank=2, used=True) as model:
        nodes = Compressor(model).compress_chunks(document, tree, chunks)
        for layers in (None, MergedLayers(model)):
            stored = Compressor(model, 32, layers).compress_stored(document, tree, chunks)
            assert len(stored) == tree.chunks
            for found, expected in zip(stored, nodes, strict=True):
                deepest = [geometry.depth] if levels == "nested" else [1, 2]
                assert sorted(found.levels) == [
                    level for level in deepest if any(one.node.level == level for one in expected)
                ]
                for level, (keys, values) in found.levels.items():
                    same = [one for one in expected if one.node.level == level]
                    assert relative(keys, torch.cat([one.keys for one in same], 2)) < 1e-5
                    assert relative(values, torch.cat([one.values for one in same], 2)) < 1e-5
                summaries = torch.stack([one.summary for one in expected])
                assert relative(found.summaries, summaries) < 1e-5


def test_a_window_that_is_too_short_is_refused() -> None:
    with attached(small_base("Mistral", sliding_window=8), geometry=GEOMETRY) as model:
        MergedLayers(model).encode(ids(8)[None])
        for kept in (True, False):
            with pytest.raises(UsageError, match="window of 8 tokens only"):
                MergedLayers(model, kept=kept).encode(ids(9)[None])


def test_what_is_not_known_is_read_through_the_hooks() -> None:
    class Packed(nn.Linear):
        """Like a layer with quantised weights."""

    with attached(small_base()) as model:
        assert is_mergeable(model)
        layer = model.base.model.layers[1]
        layer.mlp.up_proj.__class__ = Packed
        assert not is_mergeable(model)
        layer.mlp.up_proj.__class__ = nn.Linear
        layer.mlp.act_fn = nn.GELU()
        assert not is_mergeable(model)
    with attached(small_base(), injected_layers=0) as nothing:
        assert not is_mergeable(nothing)


def test_without_fused_kernels_products_are_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = ids(20)[None]
    with attached(small_base(dtype=torch.bfloat16)) as model:
        fast = MergedLayers(model).encode(tokens)
        monkeypatch.setattr(products, "_KERNELS", ("no_such_kernel",))
        plain = MergedLayers(model).encode(tokens)
    assert relative(fast.values.float(), plain.values.float()) < 0.05


@pytest.mark.default_model
def test_in_bfloat16_it_is_as_near_to_float32_as_the_hooks_are(default_model: Path) -> None:
    from sharedcli.engine.loading import load_model
    from sharedcli.model.tokens import tokenize_text

    def load(dtype: str) -> Any:
        return load_model(
            Settings(
                cache=default_model,
                offline=True,
                device="cpu",
                dtype=dtype,
                index_weights="plain",
            )
        )

    exact, model = load("float32"), load("bfloat16")
    text = Path(__file__).read_text("utf-8")
    tokens = torch.from_numpy(tokenize_text(model.base.tokenizer, text)[0][:512]).long()[None]
    with torch.inference_mode():
        truth = exact.shared.encode(tokens)
        hooks, own = model.shared.encode(tokens), model.indexer.merged.encode(tokens)
    for name in ("keys", "values", "states"):
        want, one, other = (getattr(part, name).float() for part in (truth, hooks, own))
        assert float((other - want).norm()) < 1.05 * float((one - want).norm()), name
        assert float((other - one).norm() / want.norm()) < 0.03, name
