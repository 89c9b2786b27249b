"""Settings for a tiny model, and adapters with random weights.

The helper module beside this file is imported by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sharedcli.settings import Settings


@pytest.fixture
def settings_for(
    tiny_folder: Callable[[str], Path], cache: Path, tmp_path: Path
) -> Callable[..., Settings]:
    """A function from changes to settings: tiny model, float32 throughout, a store of one's own."""

    def get(**changes: Any) -> Settings:
        values: dict[str, Any] = {
            "store": tmp_path / "store",
            "cache": cache,
            "model": str(tiny_folder("llama")),
            "device": "cpu",
            "dtype": "float32",
            "adapter": "none",
            "offline": True,
            "slot_format": "float32",
            "chunk_tokens": 64,
            "depth": 2,
            "slots_per_node": 4,
            "max_tokens": 6,
        }
        return Settings(**{**values, **changes})

    return get


@pytest.fixture(scope="session")
def adapter_folder(
    tiny_base: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """A function ``(steps=1, noise=0.05, **config) -> folder`` of an adapter for the tiny model.

    All its parameters get Gaussian noise, so that every one of them matters.
    """
    made: dict[str, str] = {}

    def get(steps: int = 1, noise: float = 0.05, **config: Any) -> str:
        import torch

        from sharedcli.model.adapter import Adapter
        from sharedcli.model.adapter_config import AdapterConfig

        fields = {"injected_layers": 2, "compressor_rank": 2, "decoder_rank": 2, **config}
        described = AdapterConfig(steps=steps, **fields)
        key = f"{noise} {described.to_json()}"
        if key not in made:
            base = tiny_base("llama").model
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(5)
                adapter = Adapter(described, base)
                for parameter in adapter.parameters():
                    parameter.add_(noise * torch.randn(parameter.shape))
            folder = tmp_path_factory.mktemp("adapter")
            adapter.save(folder)
            made[key] = str(folder)
        return made[key]

    return get
