"""Products and what follows them: the same with fused kernels and without."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sharedcli.model import products
from sharedcli.model.products import Product, has_fused_products, joined_bias

FUSED = has_fused_products(torch.zeros(8, 8, dtype=torch.bfloat16))


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check(product: Product, weight: Tensor, bias: Tensor | None, tolerance: float) -> None:
    states = numbers(5, 32, seed=1).to(weight.dtype)
    other = numbers(5, 48, seed=2).to(weight.dtype)
    plain = functional.linear(
        states.float(), weight.float(), None if bias is None else bias.float()
    )
    expected = [
        (product(states), plain),
        (product.silu(states), functional.silu(plain)),
        (product.gelu(states), functional.gelu(plain)),
        (product.times(states, other), plain * other.float()),
        (product.plus(states, other), plain + other.float()),
    ]
    for found, wanted in expected:
        assert found.dtype == weight.dtype
        assert float((found.float() - wanted).norm() / wanted.norm()) < tolerance


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_those_of_torch(dtype: torch.dtype, with_bias: bool, kept: bool) -> None:
    weight = numbers(48, 32, seed=3).to(dtype) / 6
    bias = numbers(48, seed=4).to(dtype) if with_bias else None
    check(Product(weight, bias, kept=kept), weight, bias, 1e-5 if dtype == torch.float32 else 0.01)


def test_without_the_kernels_there_is_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_KERNELS", ("no_such_kernel",))
    weight = numbers(48, 32).to(torch.bfloat16)
    assert not has_fused_products(weight)
    check(Product(weight), weight, None, 0.01)


@pytest.mark.skipif(not FUSED, reason="this processor or torch has no such kernels")
def test_only_bfloat16_on_a_cpu_is_fused() -> None:
    assert not has_fused_products(torch.zeros(8, 8))
    assert not has_fused_products(torch.zeros(8, 8, dtype=torch.bfloat16, device="meta"))


def test_biases_are_joined_and_missing_ones_are_zeros() -> None:
    with_bias, without = nn.Linear(4, 3), nn.Linear(4, 2, bias=False)
    joined = joined_bias([without, with_bias])
    assert joined is not None
    assert torch.equal(joined[:2], torch.zeros(2))
    assert torch.equal(joined[2:], with_bias.bias)
    assert joined_bias([without, without]) is None
