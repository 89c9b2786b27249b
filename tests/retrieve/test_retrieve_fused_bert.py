"""Fused layers against the model's own forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sharedcli.model.products import has_fused_products
from sharedcli.retrieve.fused_bert import FusedBert, is_fusable

FUSED = has_fused_products(torch.zeros(8, 8, dtype=torch.bfloat16))


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padded", [True, False])
def test_it_is_what_the_model_computes(dtype: torch.dtype, padded: bool) -> None:
    model = small(dtype)
    tokens = torch.randint(0, 60, (3, 17), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(3, 17, dtype=torch.bool)
    if padded:
        mask[1, 9:] = mask[2, 1:] = False
    with torch.inference_mode():
        expected = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    found = FusedBert(model)(tokens, mask if padded else None)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    difference = (found.double() - expected.double())[mask].norm() / expected.double()[mask].norm()
    assert float(difference) < {"bfloat16": 0.02}.get(str(dtype)[6:], 1e-5)


def test_what_is_masked_changes_nothing() -> None:
    model = FusedBert(small(torch.float32))
    tokens = torch.randint(1, 60, (2, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, 7:] = False
    other = tokens.clone()
    other[0, 7:] = 5
    assert torch.equal(model(tokens, mask)[mask], model(other, mask)[mask])


@pytest.mark.skipif(not FUSED, reason="this processor or torch has no such kernels")
def test_only_known_activations_in_bfloat16_are_fused() -> None:
    assert is_fusable(small(torch.bfloat16))
    assert not is_fusable(small(torch.float32))
    assert not is_fusable(small(torch.bfloat16, "relu"))
