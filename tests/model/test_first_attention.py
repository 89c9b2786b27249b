"""Without a mask the same as with one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from sharedcli.model.first_attention import behind_slots


@pytest.mark.parametrize("slots", [0, 1, 5])
@pytest.mark.parametrize("sinks", [0, 1, 3])
def test_it_is_masked_attention(slots: int, sinks: int) -> None:
    generator = torch.Generator().manual_seed(slots)
    tokens, room = 7, 4  # keys behind the tokens' own, as a cache has them
    query = torch.randn(2, 3, tokens, 8, generator=generator)
    keys = torch.randn(2, 3, slots + tokens + room, 8, generator=generator)
    values = torch.randn(2, 3, slots + tokens + room, 8, generator=generator)
    visible = torch.ones(tokens, keys.shape[2], dtype=torch.bool).tril(slots)
    visible[:sinks, :slots] = False
    wanted = functional.scaled_dot_product_attention(query, keys, values, attn_mask=visible)
    found = behind_slots(query, keys, values, slots, sinks)
    assert torch.allclose(found, wanted, atol=1e-6)
    if slots and sinks < tokens:  # and a token behind the sinks does see the slots
        other = keys.clone()
        other[:, :, 0] += 1
        changed = (behind_slots(query, other, values, slots, sinks) - found).abs().amax((0, 1, 3))
        assert torch.equal(changed > 1e-6, torch.arange(tokens) >= sinks)
