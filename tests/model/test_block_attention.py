"""In blocks the same as by torch's kernel, on any processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sharedcli.model import block_attention
from sharedcli.model.block_attention import ROWS, causal, is_served, masked


@pytest.fixture(params=[True, False], ids=["blocks", "stock"])
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether bfloat16 without gradient goes through blocks here."""
    monkeypatch.setattr(block_attention, "_is_faster", lambda: request.param)
    with torch.inference_mode():
        yield request.param


def sample(length: int, keys: int, heads: int = 6, groups: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(length)
    shapes = ((2, length, heads, 16), (2, keys, groups, 16), (2, keys, groups, 16))
    made = [torch.randn(shape, generator=generator) for shape in shapes]
    return tuple(one.bfloat16().transpose(1, 2) for one in made)


def exact(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, **more: float
) -> Tensor:
    return functional.scaled_dot_product_attention(
        query.double(), keys.double(), values.double(), attn_mask=mask, enable_gqa=True, **more
    )


def assert_close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == torch.bfloat16
    assert (found.double() - wanted).norm() < 0.01 * wanted.norm()


def test_no_queries_have_no_results(served: bool) -> None:
    query, keys, values = sample(0, 5)
    assert masked(query, keys, values, None).shape == (2, 6, 0, 16)


@pytest.mark.parametrize("length", [1, ROWS, 2 * ROWS + 3])
@pytest.mark.parametrize("before", [0, 5])
@pytest.mark.parametrize("room", [0, 4])  # keys behind the last query's own
def test_causal(served: bool, length: int, before: int, room: int) -> None:
    query, keys, values = sample(length, before + length + room)
    assert is_served(query) is served
    visible = torch.ones(length, keys.shape[2], dtype=torch.bool).tril(before)
    assert_close(
        causal(query, keys, values, before=before, scale=0.3),
        exact(query, keys, values, visible, scale=0.3),
    )


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("by_query", [False, True])
@pytest.mark.parametrize("length", [1, ROWS + 9])
def test_masked(served: bool, length: int, by_query: bool, added: bool) -> None:
    query, keys, values = sample(length, 40)
    shape = (2, 1, length if by_query else 1, 40)
    seen = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.7
    seen[..., 0] = True
    mask = torch.zeros(shape).masked_fill(~seen, float("-inf")).bfloat16() if added else seen
    assert_close(masked(query, keys, values, mask), exact(query, keys, values, seen))


def test_a_mask_that_is_added_counts_as_scores_do(served: bool) -> None:
    query, keys, values = sample(ROWS + 9, 40)
    mask = torch.randn(2, 1, ROWS + 9, 40, generator=torch.Generator().manual_seed(1)).bfloat16()
    wanted = exact(query, keys, values, mask.double())
    assert_close(masked(query, keys, values, mask), wanted)


@pytest.mark.parametrize("size", [40.0, 400.0, -400.0])
def test_scores_whose_exponentials_are_no_numbers(served: bool, size: float) -> None:
    query, keys, values = sample(2 * ROWS, 2 * ROWS)
    keys[:, :, :, 0] = size  # added to all scores of a query, which changes nothing
    query[:, :, :, 0] = torch.where(query[:, :, :, 0] > 0, 4, -4)
    found = causal(query, keys, values)
    visible = torch.ones(2 * ROWS, 2 * ROWS, dtype=torch.bool).tril()
    assert torch.isfinite(found).all()
    wanted = exact(query, keys, values, visible)
    # scores of this size are rounded, in any case
    assert (found.double() - wanted).norm() < (0.06 if size == 40 else 0.5) * wanted.norm()


def test_many_keys_make_small_blocks(served: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_attention, "_SCORES", 1)
    query, keys, values = sample(35, 40)
    seen = torch.ones(35, 40, dtype=torch.bool).tril(5)
    assert_close(causal(query, keys, values, before=5), exact(query, keys, values, seen))
    assert_close(masked(query, keys, values, seen), exact(query, keys, values, seen))


def test_a_mask_of_two_dimensions_and_none(served: bool) -> None:
    query, keys, values = sample(ROWS + 2, 40)
    seen = torch.ones(ROWS + 2, 40, dtype=torch.bool).tril(3)
    assert_close(masked(query, keys, values, seen), exact(query, keys, values, seen))
    assert_close(masked(query, keys, values, None), exact(query, keys, values, None))


def test_a_query_that_sees_nothing_stays_finite(served: bool) -> None:
    query, keys, values = sample(3, 8)
    seen = torch.ones(3, 8, dtype=torch.bool)
    seen[1] = False
    assert masked(query, keys, values, seen).isfinite().all()


def test_scores_beyond_the_range_of_exponentials_stay_finite(served: bool) -> None:
    query, keys, values = sample(ROWS + 1, ROWS + 1)
    found = causal(query * 100, keys * 100, values)
    assert found.isfinite().all()
    assert (found.float().abs().amax() <= values.float().abs().amax()).all()


def test_gradients_and_other_formats_take_the_stock_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_attention, "_is_faster", lambda: True)
    query, keys, values = sample(4, 4)
    assert not is_served(query)
    wanted = functional.scaled_dot_product_attention(
        query, keys, values, is_causal=True, enable_gqa=True
    )
    assert torch.equal(causal(query, keys, values), wanted)
    with torch.no_grad():
        assert is_served(query)
        assert not is_served(query.float())
        assert not is_served(query.double())
