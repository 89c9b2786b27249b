"""Tokens that leave the compressor early: what layers above them see by a shortcut, and its fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from shared_samples import attached, ids, small_base
from torch import Tensor

from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.merged import MergedLayers
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.training.shortcut import fit_shortcut
from sharedcli.tree.strips import Strip

LENGTH, KEPT = 50, torch.tensor([9, 30, 31, 49])
EARLY = Strip(starts=(8, 24, 40), tokens=LENGTH, lead_tokens=8, exit_layer=2, pruning_layer=4)
OPTIONS: dict[str, Any] = {"injected_layers": 6, "compressor_rank": 2, "used": True}
LAYERS = {"shortcut_start": 2, "shortcut_end": 4}


def own_products(model: SharedLLM, index: int) -> Tensor:
    """A layer's matrix of keys and values with the compressor's update and the norm's weight."""
    layer: Any = model.base.model.layers[index]
    parts = []
    for name in ("k_proj", "v_proj"):
        update = model.adapter.compressor.updates[f"{index}_{name}"]
        merged = getattr(layer.self_attn, name).weight + update.scale * update.up @ update.down
        parts.append(merged * layer.input_layernorm.weight)
    return torch.cat(parts)


def read(model: SharedLLM, strip: Strip = EARLY, kept: Tensor | None = KEPT) -> Tensor:
    encoded = MergedLayers(model).encode(torch.stack([ids(LENGTH), ids(LENGTH, 1)]), kept, strip)
    return torch.cat((encoded.keys, encoded.values))


def test_a_shortcut_of_the_layers_own_products_changes_nothing() -> None:
    base = small_base(num_hidden_layers=6)
    with attached(base, **OPTIONS) as model:
        expected = read(model)
        everywhere = read(model, replace(EARLY, exit_layer=0, pruning_layer=0))
    with attached(base, **OPTIONS, **LAYERS) as model:
        weight, bias = model.adapter.shortcut_weight, model.adapter.shortcut_bias
        assert weight is not None
        assert bias is not None
        assert not torch.allclose(read(model), expected)  # zeros are something else
        for place, index in enumerate((2, 3)):
            weight[place] = own_products(model, index).detach()
        assert torch.allclose(read(model), expected, atol=1e-5)
        bias += 0.5
        assert not torch.allclose(read(model), expected, atol=1e-2)
        # it fits one exit layer, and whoever is seen as far as it reaches
        other = replace(EARLY, exit_layer=1)
        with attached(base, **OPTIONS) as without:
            assert torch.equal(read(model, other), read(without, other))
        assert torch.equal(read(model, replace(EARLY, exit_layer=0, pruning_layer=0)), everywhere)


@pytest.mark.parametrize(
    ("exit_layer", "pruning_layer", "serves"),
    [(2, 4, True), (2, 3, True), (2, 5, False), (3, 4, False), (7, 7, False)],
)
def test_a_shortcut_serves_its_exit_layer(
    exit_layer: int, pruning_layer: int, serves: bool
) -> None:
    config = AdapterConfig(injected_layers=6, shortcut_start=2, shortcut_end=4)
    assert config.has_shortcut(exit_layer, pruning_layer) is serves
    assert not AdapterConfig(injected_layers=6).has_shortcut(exit_layer, pruning_layer)


def test_a_shortcut_beyond_the_injected_layers_is_refused() -> None:
    with pytest.raises(UsageError, match="a shortcut of layers 2 to 7 does not fit 6"):
        AdapterConfig(injected_layers=6, shortcut_start=2, shortcut_end=7)


def windows(length: int = 30) -> Iterator[Tensor]:
    seed = 0
    while True:
        yield ids(length, seed := seed + 1)


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
def test_the_fit_finds_maps_that_are_there(architecture: str) -> None:
    """Where layers add nothing, what a token becomes is a linear map of its state, and exact."""
    base = small_base(architecture, num_hidden_layers=6)
    for layer in base.model.layers[2:]:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    options = {**OPTIONS, "compressor_rank": 0}
    with attached(base, **options) as model:
        fitted = fit_shortcut(model, windows(), (2, 5), 6000)
        whole = read(model, replace(EARLY, exit_layer=0, pruning_layer=0))
    assert fitted.weight.shape == (3, 2 * 2 * 8, 32)
    assert fitted.values < 1e-4
    if architecture == "Qwen3":  # keys are normalised besides
        assert 1e-4 < fitted.keys < 0.3
        return
    assert fitted.keys < 1e-4
    with attached(base, **options, shortcut_start=2, shortcut_end=5) as model:
        model.adapter.shortcut_weight = fitted.weight.double()
        model.adapter.shortcut_bias = fitted.bias.double()
        found = read(model, replace(EARLY, pruning_layer=5))
    # layers below 5 see what they would have seen
    assert torch.allclose(found, whole, atol=2e-3)


def test_layers_that_compute_are_explained_in_part() -> None:
    told: list[int] = []
    with attached(small_base(num_hidden_layers=6), **OPTIONS) as model:
        fitted = fit_shortcut(model, windows(), (2, 5), 6000, told.append)
    assert 0.001 < fitted.keys < 0.9
    assert 0.001 < fitted.values < 0.9
    assert told[-1] == fitted.tokens >= 6000
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("layers", "tokens", "message"),
    [
        ((0, 4), 6000, "does not fit 6 injected layers"),
        ((4, 4), 6000, "does not fit 6 injected layers"),
        ((2, 7), 6000, "does not fit 6 injected layers"),
        ((2, 4), 100, "100 tokens are too few to fit 32 channels"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    layers: tuple[int, int], tokens: int, message: str
) -> None:
    with (
        attached(small_base(num_hidden_layers=6), **OPTIONS) as model,
        pytest.raises(UsageError, match=message),
    ):
        fit_shortcut(model, windows(), layers, tokens)


def test_an_adapter_keeps_its_shortcut_on_disk_and_can_forget_it(tmp_path: Any) -> None:
    from sharedcli.model.adapter import load_adapter

    base = small_base(num_hidden_layers=6)
    config = AdapterConfig(injected_layers=6, shortcut_start=2, shortcut_end=4)
    adapter, plain = Adapter(config, base), Adapter(AdapterConfig(injected_layers=6), base)
    assert adapter.shortcut_weight is not None
    adapter.shortcut_weight.normal_()
    assert "shortcut" not in plain.config.to_json()  # digests of before stay what they were
    assert not any("shortcut" in name for name in plain.state_dict())
    adapter.save(tmp_path)
    found = load_adapter(tmp_path, base)
    assert found.digest() == adapter.digest()
    first, second = found.shortcut_of(2), found.shortcut_of(3)
    assert first is not None
    assert second is not None
    assert torch.equal(torch.stack((first[0], second[0])), adapter.shortcut_weight)
    assert found.shortcut_of(1) is found.shortcut_of(4) is None
    found.drop_shortcut()
    assert found.shortcut_of(2) is None
    assert found.config == plain.config
    assert found.state_dict().keys() == plain.state_dict().keys()
