"""Texts one behind the other against the model's own forward pass, text by text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from sharedcli.retrieve.packed_bert import PackedBert, _alike, _rows

LENGTHS = [38, 37, 37, 36, 30, 20, 9, 8, 8, 8, 3, 1]


def small(dtype: torch.dtype, act: str = "gelu") -> Any:
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        hidden_act=act,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():  # norms that are not all ones, biases that are not zero
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model.to(dtype)


def texts_of(lengths: list[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 60, (n,), generator=generator).tolist() for n in lengths]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", [LENGTHS, LENGTHS[::-1], [17] * 5, [8, 8], [1]])
def test_it_is_the_mean_of_what_the_model_computes(dtype: torch.dtype, lengths: list[int]) -> None:
    model, texts = small(dtype), texts_of(lengths)
    with torch.inference_mode():
        expected = torch.stack(
            [model(torch.tensor([text])).last_hidden_state[0].double().mean(0) for text in texts]
        )
    found = PackedBert(model)(texts)
    assert found.shape == expected.shape
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    difference = (found.double() - expected).norm(dim=1) / expected.norm(dim=1)
    limits = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03}
    assert float(difference.max()) < limits[dtype]


def test_neighbours_change_nothing() -> None:
    model, texts = PackedBert(small(torch.float64)), texts_of(LENGTHS)
    other = [[5] * len(text) for text in texts]
    other[3] = texts[3]
    assert torch.allclose(model(texts)[3], model(other)[3], rtol=0, atol=1e-12)


@example([8, 16, 24])  # each like the one before, but not alike
@given(st.lists(st.integers(1, 256), min_size=1, max_size=60))
def test_groups_hold_each_text_once_and_like_lengths(lengths: list[int]) -> None:
    groups = list(_alike(torch.tensor(lengths)))
    assert [text for a, b, _ in groups for text in range(a, b)] == list(range(len(lengths)))
    for begin, end, first in groups:
        assert first == sum(lengths[:begin])
        shortest, longest = min(lengths[begin:end]), max(lengths[begin:end])
        assert longest - shortest <= max(8, longest // 8)


def test_products_have_few_shapes() -> None:
    rows = [_rows(count) for count in range(1, 1281)]
    assert all(count <= found < count + 64 for count, found in enumerate(rows, start=1))
    assert len(set(rows)) <= 32


def test_an_activation_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="relu"):
        PackedBert(small(torch.float32, "relu"))
