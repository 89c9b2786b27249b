"""The cache in place: slots first, room that grows without loss."""

from __future__ import annotations

import torch
from shared_samples import attached, random_slots, small_base

from sharedcli.model.merged_layers import Shape
from sharedcli.model.static_cache import STEP, StaticCache, round_up

SHAPE = Shape(groups=2, per_group=2, head_dim=8)


def test_lengths_are_rounded_up() -> None:
    assert [round_up(n) for n in (0, 1, STEP, STEP + 1)] == [0, STEP, STEP, 2 * STEP]


def test_slots_stand_first_in_injected_layers_only() -> None:
    with attached(small_base(), used=True) as model:
        injected = model.prepare(random_slots(model, 3))
    assert injected is not None
    cache = StaticCache(3, SHAPE, torch.float64, injected, 10)
    assert cache.slots == [6, 6, 0]
    keys, values = cache.views(10)[1]
    assert keys.shape == (1, 2, STEP, 8)
    assert values[:, :, :6].equal(injected.values[1])
    reordered = injected.keys[1].reshape(1, 2, 6, 2, 4).transpose(-1, -2).reshape(1, 2, 6, 8)
    assert keys[:, :, :6].equal(reordered)
    assert not keys[:, :, 6:].any()


def test_growing_keeps_what_is_there() -> None:
    cache = StaticCache(1, SHAPE, torch.float32, None, 5)
    assert cache.capacity == STEP
    cache.layers[0][0, :, :5] = torch.arange(5.0)[:, None]
    cache.reserve(STEP)
    assert cache.capacity == STEP
    cache.reserve(STEP + 1)
    assert cache.capacity == 2 * STEP == cache.layers[0].shape[2]
    assert cache.layers[0][0, :, :5, 3].tolist() == 2 * [[0, 1, 2, 3, 4]]
    assert not cache.layers[0][:, :, 5:].any()
