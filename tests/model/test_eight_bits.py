"""Products in eight bits: the same up to rounding, whatever the states look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from shared_samples import attached, ids, small_base
from torch import Tensor
from torch.nn import functional

from sharedcli.model import eight_bits
from sharedcli.model.eight_bits import (
    EightBitWeights,
    Rotation,
    has_eight_bit_products,
    is_worth_it,
)
from sharedcli.model.merged import MergedLayers
from sharedcli.model.products import Weights
from sharedcli.settings import Settings

CPU = torch.device("cpu")
needs_kernels = pytest.mark.skipif(
    not has_eight_bit_products(CPU, torch.float32),
    reason="this processor or torch has no such kernels",
)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative(found: Tensor, wanted: Tensor) -> float:
    assert found.shape == wanted.shape
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


def with_outliers(rows: int, size: int) -> Tensor:
    """States as models have them: a few channels are large in every row, one row is large."""
    states = numbers(rows, size)
    states[:, 3] *= 40
    states[:, size // 2] -= 30
    states[0] *= 300
    return states


@pytest.mark.parametrize("size", [64, 96, 576, 896, 7, 1])
def test_rotations_keep_lengths_and_can_be_taken_back(size: int) -> None:
    rotation, rows = Rotation(size), numbers(5, size)
    turned = rotation(rows)
    torch.testing.assert_close(turned.norm(dim=1), rows.norm(dim=1))
    torch.testing.assert_close(rotation.back(turned), rows, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(Rotation(size)(rows), turned)  # of the same size, the same one
    torch.testing.assert_close(rotation.columns(rows.T.contiguous()).T, turned)


@pytest.mark.parametrize("size", [64, 576, 896])
def test_a_channel_is_spread_over_all(size: int) -> None:
    turned = Rotation(size)(torch.eye(size))
    assert float(turned.abs().max()) < 0.15 if size > 64 else 0.126


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [True, False])
def test_products_behind_a_norm(dtype: torch.dtype, with_bias: bool) -> None:
    states, weight = with_outliers(9, 96).to(dtype), numbers(48, 96, seed=1) / 10
    bias = numbers(48, seed=2) if with_bias else None
    plain, packed = Weights(kept=False), EightBitWeights(96)
    inputs = packed.normalised(packed.entered(states), 1e-5)
    assert inputs.dtype == torch.uint8
    product = packed.behind_norm(weight, bias, dtype)
    wanted = functional.linear(plain.normalised(states.float(), 1e-5), weight, bias)
    other = numbers(9, 48, seed=3).to(dtype)
    for found, expected in (
        (product(inputs), wanted),
        (product.silu(inputs), functional.silu(wanted)),
        (product.times(inputs, other), wanted * other),
    ):
        assert found.dtype == dtype
        assert relative(found, expected) < 0.04


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("in_eight_bits", [True, False])
def test_products_onto_states(dtype: torch.dtype, with_bias: bool, in_eight_bits: bool) -> None:
    inputs, weight = numbers(9, 48), numbers(96, 48, seed=1)
    inputs *= torch.logspace(-6, 6, 9)[:, None]  # each row has a scale of its own
    inputs[4] = 0
    states, bias = numbers(9, 96, seed=2), numbers(96, seed=3) if with_bias else None
    packed = EightBitWeights(96, onto_states=in_eight_bits)
    product = packed.onto_states(weight, None if bias is None else bias.to(dtype), dtype)
    found = packed.left(product.plus(inputs.to(dtype), packed.entered(states).to(dtype)))
    assert found.dtype == dtype
    wanted = functional.linear(inputs, weight, bias) + states
    for row, expected in zip(found, wanted, strict=True):
        assert relative(row, expected) < 0.03


@needs_kernels
@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Qwen3"])
def test_layers_in_eight_bits_give_what_plain_ones_do(architecture: str) -> None:
    tokens = torch.stack([ids(20), ids(20, 1)])
    base = small_base(architecture, initializer_range=0.08)
    with attached(base, compressor_rank=2, used=True) as made:
        model = made.float()
        plain = MergedLayers(model).encode(tokens)
        packed = MergedLayers(model, weights=EightBitWeights(32)).encode(tokens)
    for name in ("keys", "values", "states"):
        assert relative(getattr(packed, name), getattr(plain, name)) < 0.12, name


@needs_kernels
@pytest.mark.default_model
def test_slots_of_the_default_model_are_near_float32(default_model: Path) -> None:
    from sharedcli.engine.loading import load_model
    from sharedcli.model.tokens import tokenize_text

    def load(**options: Any) -> Any:
        return load_model(Settings(cache=default_model, offline=True, device="cpu", **options))

    exact = load(dtype="float32", index_weights="plain")
    packed = load(dtype="bfloat16", index_weights="int8")
    text = Path(__file__).read_text("utf-8")
    tokens = torch.from_numpy(tokenize_text(exact.base.tokenizer, text)[0][:512]).long()[None]
    truth = exact.indexer.merged.encode(tokens)
    found = packed.indexer.merged.encode(tokens)
    # without the rotation 0.06 and 0.15
    assert relative(found.keys, truth.keys) < 0.045
    assert relative(found.values, truth.values) < 0.11


@needs_kernels
def test_where_there_are_no_such_products(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_eight_bit_products(torch.device("meta"), torch.bfloat16)
    assert not has_eight_bit_products(CPU, torch.float64)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    assert has_eight_bit_products(CPU, torch.bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert not has_eight_bit_products(CPU, torch.bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    eight_bits._are_right.cache_clear()
    monkeypatch.setattr(eight_bits, "_KERNELS", ("no_such_kernel",))
    assert not has_eight_bit_products(CPU, torch.bfloat16)
    eight_bits._are_right.cache_clear()


@needs_kernels
@pytest.mark.parametrize("wrong", ["refused", "otherwise"])
def test_kernels_that_work_otherwise_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    def product(self: Any, states: Tensor, activation: str = "none") -> Tensor:
        if wrong == "refused":
            raise RuntimeError("no such activation")
        return torch.ones(len(states), 32)

    eight_bits._are_right.cache_clear()
    monkeypatch.setattr(eight_bits.EightBitProduct, "__call__", product)
    assert not has_eight_bit_products(CPU, torch.bfloat16)
    eight_bits._are_right.cache_clear()


def test_where_they_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for multiplies in (True, False):
        monkeypatch.setattr(eight_bits, "cpu_has_bfloat16", lambda one=multiplies: one)
        assert is_worth_it(torch.bfloat16, 576) is multiplies
        assert is_worth_it(torch.float32, 576) is not multiplies
    assert not is_worth_it(torch.float32, 64)


@needs_kernels
@pytest.mark.parametrize(
    ("matrix_units", "dtype", "expected"),
    [(True, torch.bfloat16, False), (True, torch.float32, True), (False, torch.bfloat16, True)],
)
def test_what_is_added_to_states_is_rounded_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch, matrix_units: bool, dtype: torch.dtype, expected: bool
) -> None:
    monkeypatch.setattr(eight_bits, "has_matrix_units", lambda: matrix_units)
    product = EightBitWeights(32).onto_states(numbers(32, 48), None, dtype)
    assert isinstance(product, eight_bits._ByRows) is expected
