"""Loading bases: what is read, what is refused, what identifies it."""

from __future__ import annotations

from typing import Any

import torch


def test_every_architecture_loads_frozen_and_in_evaluation_mode(any_base: Any) -> None:
    assert any_base.dtype == torch.float64
    assert not any_base.model.training
    assert not any(parameter.requires_grad for parameter in any_base.model.parameters())
    assert {p.dtype for p in any_base.model.parameters()} == {torch.float64}
    assert (any_base.layers, any_base.hidden_size) == (4, 64)
    assert (any_base.heads, any_base.kv_heads, any_base.head_dim) == (4, 2, 16)
    assert any_base.window == 4096
    assert any_base.tokenizer.is_fast
