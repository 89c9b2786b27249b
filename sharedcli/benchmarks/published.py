"""Published configurations of language models, for random weights of their sizes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sharedcli.errors import UsageError
from sharedcli.paths import home_path

PREFIX = "random:"
_LLAMA_3 = {"rope_type": "default", "rope_theta": 500000.0}


def _scaled(factor: float) -> dict[str, Any]:
    return {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


def _sizes(
    kind: str,
    hidden: int,
    inner: int,
    layers: int,
    heads: tuple[int, int, int],
    *,
    vocabulary: int,
    window: int,
    rope: Mapping[str, Any],
    tied: bool,
) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "head_dim": heads[2],
        "vocab_size": vocabulary,
        "max_position_embeddings": window,
        "rope_parameters": dict(rope),
        "tie_word_embeddings": tied,
    }


_L3: dict[str, Any] = {"vocabulary": 128256, "window": 131072}
_Q3: dict[str, Any] = {
    "vocabulary": 151936,
    "window": 40960,
    "rope": {"rope_type": "default", "rope_theta": 1e6},
}
_SMOL: dict[str, Any] = {"vocabulary": 49152, "window": 8192, "tied": True}
PUBLISHED: dict[str, dict[str, Any]] = {
    "smollm2-135m": _sizes(
        "llama", 576, 1536, 30, (9, 3, 64), rope={**_LLAMA_3, "rope_theta": 1e5}, **_SMOL
    ),
    "smollm2-1.7b": _sizes(
        "llama", 2048, 8192, 24, (32, 32, 64), rope={**_LLAMA_3, "rope_theta": 1.3e5}, **_SMOL
    ),
    "qwen3-0.6b": _sizes("qwen3", 1024, 3072, 28, (16, 8, 128), tied=True, **_Q3),
    "qwen3-8b": _sizes("qwen3", 4096, 12288, 36, (32, 8, 128), tied=False, **_Q3),
    "llama-3.2-1b": _sizes(
        "llama", 2048, 8192, 16, (32, 8, 64), rope=_scaled(32.0), tied=True, **_L3
    ),
    "llama-3.2-3b": _sizes(
        "llama", 3072, 8192, 28, (24, 8, 128), rope=_scaled(32.0), tied=True, **_L3
    ),
    "llama-3.1-8b": _sizes(
        "llama", 4096, 14336, 32, (32, 8, 128), rope=_scaled(8.0), tied=False, **_L3
    ),
    "llama-3-8b": _sizes(
        "llama",
        4096,
        14336,
        32,
        (32, 8, 128),
        rope=_LLAMA_3,
        tied=False,
        vocabulary=128256,
        window=8192,
    ),
}


def is_random(model: str) -> bool:
    """Whether a model's name asks for random weights."""
    return model.startswith(PREFIX)


def check_random(model: str) -> None:
    """Refuse a name that there is not. ``UsageError`` lists those that there are."""
    name = model.removeprefix(PREFIX)
    if name not in PUBLISHED and not (home_path(name) / "config.json").is_file():
        raise UsageError(
            f"there is no configuration {name!r}; use {PREFIX} with one of "
            f"{', '.join(PUBLISHED)}, or with a folder that holds config.json and a tokenizer"
        )
