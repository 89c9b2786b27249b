"""The structure of CEPE: cross-attention over what an encoder made of the context."""

from __future__ import annotations

from typing import Any

import torch

from sharedcli.baselines.encoder_decoder import CHUNK, ChunkEncoder, CrossRead


def test_one_token_reads_the_context_as_it_does_among_others(tiny_base: Any) -> None:
    base = tiny_base("llama", "float32")
    cross = CrossRead(base, 32, 0)
    torch.nn.init.normal_(cross.out.weight)
    kept = cross.remember(torch.randn(40, 32))
    hidden = torch.randn(1, 5, base.hidden_size)
    with torch.inference_mode():
        together, alone = cross(hidden, kept), cross(hidden[:, 2:3], kept)
    assert float(together.abs().max()) > 0.01
    assert torch.allclose(together[:, 2:3], alone, atol=1e-5)


def test_keys_are_the_layer_s_product_head_by_head(tiny_base: Any) -> None:
    base = tiny_base("llama", "float32")
    cross, states = CrossRead(base, 32, 0), torch.randn(40, 32)
    keys, values = cross.remember(states)
    for found, product in ((keys, cross.key), (values, cross.value)):
        wanted = product(states).view(40, base.kv_heads, base.head_dim).transpose(0, 1)
        assert found.is_contiguous()
        assert torch.allclose(found[0], wanted, atol=1e-5)


def test_chunks_are_read_on_their_own(tiny_base: Any) -> None:
    encoder = ChunkEncoder(tiny_base("llama", "float32"))
    tokens = torch.randint(5, 50, (2 * CHUNK + 9,))
    other = tokens.clone()
    other[:CHUNK] = 7
    with torch.inference_mode():
        one, two = encoder(tokens), encoder(other)
    assert one.shape == (len(tokens), encoder.size.width)
    assert not torch.allclose(one[:CHUNK], two[:CHUNK])
    assert torch.allclose(one[CHUNK:], two[CHUNK:], atol=1e-5)
