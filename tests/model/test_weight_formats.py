"""Packed matrices: close to the matrix, and each row by itself whatever comes with it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sharedcli.model.weight_formats import (
    GROUP,
    Int4Matrix,
    Int8Matrix,
    Matrix,
    Updated,
    WeightFormat,
    holds,
    pack,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(kind: WeightFormat, weight: Tensor, bias: Tensor | None = None) -> float:
    """Relative error of a product against float64."""
    states = random(3, weight.shape[1], seed=9).bfloat16()
    exact = states.double() @ weight.double().T + (0 if bias is None else bias.double())
    given = states if kind != "plain" else states.to(weight.dtype)
    return float((pack(kind, weight, bias)(given).double() - exact).norm() / exact.norm())


@pytest.mark.parametrize(("kind", "most"), [("plain", 1e-6), ("int8", 0.015), ("int4", 0.12)])
def test_products_are_close(kind: WeightFormat, most: float) -> None:
    assert error(kind, random(128, 96)) < most
    assert error(kind, random(128, 96), random(128, seed=1)) < most


def test_rows_do_not_depend_on_their_company() -> None:
    for kind in ("int8", "int4"):
        for sizes in ((64, 64), (192, 576), (128, 1536)):
            matrix = pack(kind, random(*sizes))
            states = random(4, sizes[1], seed=2).bfloat16()
            together = matrix(states)
            for start in range(4):
                for end in range(start + 1, 5):
                    part = matrix(states[start:end].contiguous())
                    assert torch.equal(part, together[start:end])


def test_many_rows_are_packed_like_few() -> None:
    weight = random(1088, 64)
    states = random(2, 64, seed=3).bfloat16()
    for kind in ("int8", "int4"):
        apart = torch.cat([pack(kind, part)(states) for part in weight.split(64)], dim=1)
        assert torch.equal(pack(kind, weight)(states), apart)


@pytest.mark.parametrize("sizes", [(97, 32), (48, 40), (33, 16)])
def test_sizes_that_no_kernel_takes_stay_as_they_are(sizes: tuple[int, int]) -> None:
    for kind in ("int8", "int4"):
        assert type(pack(kind, random(*sizes))) is Matrix
        assert error(kind, random(*sizes)) < 0.01


def test_zeros_stay_zeros() -> None:
    states = random(1, 64).bfloat16()
    for made in (Int8Matrix, Int4Matrix):
        assert not made(torch.zeros(64, 64))(states).any()


def on_a_grid(rows: int = 64, columns: int = 128) -> Tensor:
    """Weights as a model that is distributed in four bits has them."""
    groups = columns // GROUP
    scale = random(rows, groups, 1, seed=4).abs() * 0.01 + 0.01
    steps = torch.randint(16, (rows, groups, GROUP), generator=torch.Generator().manual_seed(5))
    steps[..., 0], steps[..., 1] = 0, 15
    low = -8 * scale + 0.01 * random(rows, groups, 1, seed=6)
    return (steps * scale + low).view(rows, columns).bfloat16()


def test_four_bits_hold_what_came_in_four_bits_and_nothing_else() -> None:
    assert holds(on_a_grid())
    assert error("int4", on_a_grid()) < 0.01
    assert not holds(random(64, 128))
    assert not holds(on_a_grid()[:, :40])


def test_an_update_beside_four_bits_keeps_them() -> None:
    weight, down, up = on_a_grid(), 0.1 * random(6, 128), 0.1 * random(64, 6)
    states = random(4, 128, seed=7).bfloat16()
    exact = states.double() @ (weight.double() + up.double() @ down.double()).T
    matrix = Updated("int4", weight, None, down, up)

    def off(product: Tensor) -> float:
        return float((product.double() - exact).norm() / exact.norm())

    assert off(matrix(states)) < 0.03
    assert off(pack("int4", weight)(states)) > 0.1  # without the update
    assert torch.equal(matrix(states[1:2]), matrix(states)[1:2])
