"""Rotation: a group, the base's own, whatever scaling it has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared_samples import greatest, small_base

from sharedcli.model.rotary import Rotary, apply_rotation

SCALINGS: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default", "rope_theta": 1e4},
    "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
        "rope_theta": 1e4,
    },
    "yarn": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "rope_theta": 1e4,
    },
    "dynamic": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4},
}


def plain(dims: int = 8) -> Rotary:
    return Rotary(1e4 ** (-torch.arange(0, dims, 2) / dims))


@given(st.integers(0, 500), st.integers(0, 500))
def test_rotations_add_up(first: int, second: int) -> None:
    rotary = plain()
    states = torch.randn(3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, two = torch.tensor([first]), torch.tensor([second])
    twice = rotary.rotate(rotary.rotate(states, one), two)
    assert greatest(twice, rotary.rotate(states, one + two)) < 1e-3  # float32 angles
    assert greatest(rotary.unrotate(rotary.rotate(states, one), one), states) < 1e-6
    assert torch.allclose(twice.norm(dim=-1), states.norm(dim=-1))


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 300))
def test_scores_depend_on_the_distance_alone(query: int, key: int, shift: int) -> None:
    rotary = plain()
    q, k = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def score(by: int) -> torch.Tensor:
        turned = rotary.rotate(q, torch.tensor([query + by]))
        return turned @ rotary.rotate(k, torch.tensor([key + by])).T

    assert greatest(score(0), score(shift)) < 1e-3


@pytest.mark.parametrize("scaling", SCALINGS)
def test_it_is_the_bases_own_rotation(scaling: str) -> None:
    base = small_base(rope_parameters=SCALINGS[scaling], max_position_embeddings=256)
    rotary = Rotary.of(base.model)
    positions = torch.tensor([0, 1, 7, 63, 64, 200])
    states = torch.randn(6, 8, dtype=torch.float64)
    cosine, sine = base.model.rotary_emb(states, positions[None])
    expected = apply_rotation(states, cosine[0], sine[0])
    assert greatest(rotary.rotate(states, positions) * rotary.scaling, expected) < 1e-6
    cosine, sine = rotary.query_angles(positions)
    assert greatest(apply_rotation(states, cosine, sine), expected) < 1e-6


def test_yarn_scales_and_the_others_do_not() -> None:
    scales = {
        name: Rotary.of(small_base(rope_parameters=values).model).scaling
        for name, values in SCALINGS.items()
    }
    assert scales.pop("yarn") > 1.1
    assert set(scales.values()) == {1.0}


def test_dynamic_frequencies_are_the_original_ones_after_a_long_text() -> None:
    base = small_base(rope_parameters=SCALINGS["dynamic"], max_position_embeddings=32)
    before = Rotary.of(base.model).inverse_frequencies
    base.model.rotary_emb(torch.zeros(1), torch.arange(100)[None])
    assert not torch.equal(base.model.rotary_emb.inv_freq, before)
    assert torch.equal(Rotary.of(base.model).inverse_frequencies, before)


def test_dimensions_beyond_the_rotated_ones_stand_still() -> None:
    states = torch.randn(4, 8, dtype=torch.float64)
    turned = plain(4).rotate(states, torch.tensor([1, 2, 3, 4]))
    assert torch.equal(turned[:, 4:], states[:, 4:])
    assert greatest(turned[:, :4], plain(4).rotate(states[:, :4], torch.arange(1, 5))) == 0


def test_half_precision_keys_are_turned_in_float32() -> None:
    states = torch.randn(5, 8).to(torch.bfloat16)
    places = torch.tensor([3, 50, 500, 5000, 50000])
    turned = plain().rotate(states, places)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, plain().rotate(states.float(), places).to(torch.bfloat16))
