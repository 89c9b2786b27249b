"""Every setting, and where its value came from: flags, environment, files or defaults.

Precedence, strongest first:

1. flags of the command line,
2. environment variables ``SHAREDCLI_<NAME>`` (``SHAREDCLI_HOME`` for the store; ``HF_HUB_OFFLINE``
   counts as ``offline``),
3. the project's ``sharedcli.toml``, the nearest one from the working directory upwards,
4. the user's ``config.toml`` in the platform's configuration directory,
5. defaults.

A key or value that does not fit is refused with the name of its file and the nearest valid key: a
setting that is silently ignored is worse than an error. Device, dtype and model names are checked
where they are used. It knows nothing of torch.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

if sys.version_info >= (3, 11):
    pass
else:
    pass

PROJECT_FILE = "sharedcli.toml"
USER_FILE = "config.toml"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")


def default_store() -> Path:
    """Where context trees are kept unless told otherwise: the platform's user data directory."""
    return Path(platformdirs.user_data_dir("sharedcli", appauthor=False))


def default_cache() -> Path:
    """Where models are kept: SHAREDCLI_CACHE, or the platform's user cache directory."""
    if given := os.environ.get("SHAREDCLI_CACHE"):
        return Path(given).expanduser()
    return Path(platformdirs.user_cache_dir("sharedcli", appauthor=False))


def user_file() -> Path:
    """The user's configuration file; it need not exist."""
    return Path(platformdirs.user_config_dir("sharedcli", appauthor=False)) / USER_FILE


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults. Names are the same as flags, with ``_`` for ``-``.

    Attributes:
        store: folder of the context trees.
        cache: folder of fetched and converted models.
        model: "default", a Hugging Face id, a folder or a GGUF file.
        revision: of a Hugging Face model.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto", "float32", "bfloat16", "float16" or "float64".
        attn_implementation: "sdpa", "eager" or "flash_attention_2".
        quantization: None, "bnb-4bit" or "bnb-8bit".
        adapter: None for the one that ships for the model, "none", or a folder.
        offline: never touch the network.
        budget: slots injected at most per question.
        passages: verbatim passages in the prompt; 0 is injection alone.
        max_tokens: length of an answer at most.
        temperature: 0 is greedy.
        top_p: nucleus of the sampling.
        seed: of the sampling.
        color: "auto", "always" or "never".
    """

    store: Path = field(default_factory=default_store)
    cache: Path = field(default_factory=default_cache)
    model: str = "default"
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attn_implementation: str = "sdpa"
    quantization: str | None = None
    adapter: str | None = None
    offline: bool = False
    budget: int = 1024
    passages: int = 3
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    color: str = "auto"
