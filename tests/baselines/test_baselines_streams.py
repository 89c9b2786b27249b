"""Streams: blocks change nothing, sinks and windows do what StreamingLLM says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sharedcli.baselines import streams
from sharedcli.baselines.streams import CachedStream, SinkStream, continuation_loss
from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.sharedllm import SharedLLM


@pytest.fixture(scope="module")
def model(tiny_base: Callable[..., Any]) -> SharedLLM:
    base = tiny_base("llama", "float64")
    return SharedLLM(base.model, Adapter(AdapterConfig(injected_layers=2), base.model))


def _tokens(count: int) -> torch.Tensor:
    return torch.randint(3, 250, (count,), generator=torch.Generator().manual_seed(count))


def _plain(model: SharedLLM, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(tokens[None], role=None)[0].float()


def test_reading_in_blocks_is_reading_at_once(
    model: SharedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK", 7)
    tokens = _tokens(50)
    stream = CachedStream(model)
    stream.read(tokens[:11])
    torch.testing.assert_close(stream.read(tokens[11:], 20), _plain(model, tokens)[-20:])


def test_without_eviction_sinks_are_full_attention(model: SharedLLM) -> None:
    tokens = _tokens(60)
    found = SinkStream(model, window=64, block=16).read(tokens, 25)
    torch.testing.assert_close(found, _plain(model, tokens)[-25:])


def test_eviction_is_a_text_without_what_left(model: SharedLLM) -> None:
    """In one layer, what is cached depends on its token alone: so the reference is exact."""
    tokens = _tokens(100)
    layers, config = model.base.model.layers, model.base.config
    model.base.model.layers, kept = layers[:1], config.num_hidden_layers
    config.num_hidden_layers = 1
    try:
        stream = SinkStream(model, window=32, sinks=4, block=8)
        found = stream.read(tokens, 8)
        assert (stream.cached, stream.evicted) == (32, 68)
        window = torch.cat((tokens[:4], tokens[-28:]))
        torch.testing.assert_close(found[-1], _plain(model, window)[-1])
    finally:
        model.base.model.layers, config.num_hidden_layers = layers, kept


def test_memory_does_not_grow_with_the_text(model: SharedLLM) -> None:
    stream = SinkStream(model, window=40, block=8)
    for _ in range(5):
        stream.read(_tokens(100))
        assert stream.cached <= 40
    assert stream.evicted + stream.cached == 500
    with pytest.raises(UsageError, match="streaming window"):
        SinkStream(model, window=5)


def test_loss_is_the_mean_over_all_but_the_first_token(model: SharedLLM) -> None:
    prefix, running = _tokens(30), _tokens(12)
    logits = _plain(model, torch.cat((prefix, running)))[30:-1]
    wanted = torch.nn.functional.cross_entropy(logits, running[1:])
    assert continuation_loss(CachedStream(model), prefix, running) == pytest.approx(float(wanted))
    alone = _plain(model, running)[:-1]
    wanted = torch.nn.functional.cross_entropy(alone, running[1:])
    found = continuation_loss(SinkStream(model, 64), prefix[:0], running)
    assert found == pytest.approx(float(wanted))
