"""``ProgressiveStream``: chunks in turn, each sees what is kept of those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sharedcli.baselines.progressive import SINKS, ProgressiveStream, slots_of
from sharedcli.baselines.streams import CachedStream
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.sharedllm import SharedLLM


@pytest.fixture
def model(tiny_base: Callable[..., Any]) -> SharedLLM:
    base = tiny_base("llama", "float64")
    return SharedLLM(base.model, Adapter(AdapterConfig(injected_layers=2), base.model))


def test_ratio_one_is_full_attention(model: SharedLLM) -> None:
    tokens, running = torch.arange(10, 110), torch.arange(30, 50)
    stream = ProgressiveStream(model, tokens, 32, 1)
    plain = CachedStream(model)
    plain.read(tokens)
    assert stream.kept == 100
    torch.testing.assert_close(stream.read(running, 5), plain.read(running, 5))


def test_slots_follow_the_ratio_and_depend_on_what_came_before(model: SharedLLM) -> None:
    tokens = torch.arange(10, 110)
    stream = ProgressiveStream(model, tokens, 32, 8)
    assert stream.kept == slots_of(100, 32, 8) == SINKS + 3 * 4 + 1
    changed = tokens.clone()
    changed[:8] += 1  # forgotten but for what later chunks have seen of it
    other = ProgressiveStream(model, changed, 32, 8)
    last, was = (one._cache.layers[-1].values[:, :, -1] for one in (stream, other))
    assert not torch.allclose(last, was)
    assert stream.read(torch.tensor([5])).shape == (1, model.base.config.vocab_size)
