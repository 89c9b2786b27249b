"""Merged layers: orders of rows that are permutations, and which models are left alone."""

from __future__ import annotations

import torch
from shared_samples import attached, small_base

from sharedcli.model.merged_layers import MergedLayers, Shape, why_not


def test_orders_are_permutations() -> None:
    shape = Shape(groups=2, per_group=3, head_dim=8)
    for order, size in (
        (shape.query_rows(), 48),
        (shape.key_rows(), 16),
        (shape.qkv_rows(), 80),
        (shape.output_columns(), 48),
    ):
        assert order.sort().values.equal(torch.arange(size))


def test_halves_that_turn_together_stand_side_by_side() -> None:
    rows = Shape(groups=1, per_group=1, head_dim=8).key_rows()
    assert rows.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_an_update_is_merged_and_the_base_untouched() -> None:
    base = small_base()
    before = base.model.layers[1].mlp.down_proj.weight.clone()
    with attached(base, used=True, decoder_rank=2) as model:
        update = model.adapter.decoder.updates["1_down_proj"]
        expected = before + update.scale * update.up @ update.down
        layer = MergedLayers(model).layer(1, "plain", torch.float64)
        assert torch.allclose(layer.down.weight, expected)
    assert base.model.layers[1].mlp.down_proj.weight.equal(before)


def test_models_that_are_not_known_well_enough_are_named() -> None:
    for base, reason in (
        (small_base("Mistral", sliding_window=8), "window of 8"),
        (
            small_base(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
            "dynamic",
        ),
        (small_base(hidden_act="gelu"), "llama"),
    ):
        with attached(base) as model:
            assert reason in why_not(model)
    with attached(small_base(), injected_layers=1) as model:
        assert not why_not(model)
        model.base.model.layers[2].mlp.up_proj.__class__ = type("Other", (torch.nn.Linear,), {})
        assert "quantised" in why_not(model)


def test_four_bits_do_not_hold_random_weights() -> None:
    with attached(small_base()) as model:
        assert not MergedLayers(model).four_bits_hold()
