"""Give an adapter a shortcut: its text, the fit, and the new adapter in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sharedcli.engine.loading import load_model, read_adapter
from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter
from sharedcli.settings import Settings, default_cache
from sharedcli.training.samples import TextSampler
from sharedcli.training.shortcut import Fitted, fit_shortcut, text_windows
from sharedcli.training.sources import open_sources


@dataclass(frozen=True)
class Wanted:
    """What to fit, and to what.

    Attributes:
        data: files, folders and patterns.
        holdout: parts of names of documents that are not read.
        layers: exit and pruning layer.
        tokens: how many are read.
        seed: of what is drawn.
    """

    data: tuple[str, ...]
    holdout: tuple[str, ...]
    layers: tuple[int, int]
    tokens: int
    seed: int = 0


def make_shortcut(
    settings: Settings,
    wanted: Wanted,
    output: Path,
    say: Callable[[str], None] = lambda _: None,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Fit a shortcut to the compressor that ``settings`` name; write the adapter with it.

    ``say`` takes sentences for the user, ``tell`` how many tokens have been read. Trees that the
    adapter made without the shortcut serve the new one.

    Raises:
        UsageError: an untrained adapter, no such layer, no text.
        SharedCLIError: whatever else cannot be read.
    """
    loaded = load_model(settings)
    if not loaded.trained or not loaded.merges:
        raise UsageError(
            "a shortcut needs a trained adapter and a model whose layers can be merged; give "
            "--adapter the folder of one"
        )
    sources = open_sources(
        wanted.data,
        rules=(),
        holdout=wanted.holdout,
        tokenizer=loaded.base.tokenizer,
        tokenizer_digest=loaded.base.identity.tokenizer_sha256,
        cache=(settings.cache or default_cache()) / "training",
        tell=say,
    )
    adapter, _ = read_adapter(settings, loaded.base)
    sampler, length = TextSampler(sources), adapter.config.geometry.read_tokens
    windows = text_windows(sampler, length, wanted.seed)
    fitted = fit_shortcut(loaded.shared, windows, wanted.layers, wanted.tokens, tell)
    made = with_shortcut(adapter, loaded.base.model, fitted, wanted.layers)
    made.save(output, _precision(adapter))
    return {
        "adapter": str(output),
        "exit_layer": wanted.layers[0],
        "pruning_layer": wanted.layers[1],
        "tokens": fitted.tokens,
        "keys_unexplained": fitted.keys,
        "values_unexplained": fitted.values,
    }


def with_shortcut(adapter: Adapter, base: Any, fitted: Fitted, layers: tuple[int, int]) -> Adapter:
    """The adapter with a shortcut, which its geometry then uses."""
    geometry = replace(adapter.config.geometry, exit_layer=layers[0], pruning_layer=layers[1])
    config = replace(
        adapter.config,
        geometry=geometry,
        trees=adapter.config.trees or adapter.digest(),
        shortcut_start=layers[0],
        shortcut_end=layers[1],
    )
    made = Adapter(config, base)
    found = adapter.state_dict()
    found |= {"shortcut_weight": fitted.weight, "shortcut_bias": fitted.bias}
    made.load_state_dict(found)
    return made


def _precision(adapter: Adapter) -> torch.dtype:
    """Half of float32's bytes where they hold the adapter's numbers as they are."""
    exact = all(torch.equal(t, t.bfloat16().to(t.dtype)) for t in adapter.parameters())
    return torch.bfloat16 if exact else torch.float32
