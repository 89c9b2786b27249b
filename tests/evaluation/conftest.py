"""A workbench on a tiny random base, and a text to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sharedcli.engine.loading import LoadedModel
from sharedcli.evaluation.methods.contract import Workbench
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.settings import Settings
from sharedcli.tree.geometry import TreeGeometry

STORY = " ".join(
    f"On day {day} the keeper of the lighthouse wrote {day * 7} lines about the sea."
    for day in range(1, 25)
)


@pytest.fixture
def story() -> str:
    """A text of about 1,000 tokens of the tiny tokenizer."""
    return STORY


@pytest.fixture
def make_bench(tiny_base: Callable[..., Any], tmp_path: Path) -> Callable[..., Workbench]:
    """A function from settings to a workbench; window, adapter and what it is like as told."""

    def make(
        window: int = 4096,
        trained: bool = False,
        decoder_rank: int = 0,
        abstains: bool = False,
        **settings: Any,
    ) -> Workbench:
        base = tiny_base("llama", "float64")
        if window != base.window:
            config = type("Config", (), {"max_position_embeddings": window})()
            base = _Narrow(base, window, config)
        geometry = TreeGeometry(chunk_tokens=128, depth=2, slots_per_node=8)
        config = AdapterConfig(
            form="cross",
            injected_layers=2,
            geometry=geometry,
            steps=int(trained),
            decoder_rank=decoder_rank,
            abstains=abstains,
        )
        adapter = Adapter(config, base.model)
        shared = SharedLLM(base.model, adapter)
        chosen = Settings(store=tmp_path / "store", cache=tmp_path, budget=64, max_tokens=8)
        model = LoadedModel(base, shared, "none", "none")
        return Workbench(model, replace(chosen, **settings), None, 256)

    return make


class _Narrow:
    """A base that is said to have a smaller window."""

    def __init__(self, base: Any, window: int, config: Any) -> None:
        self._base = base
        self.window = window

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)
