"""Published configurations with random weights: speed does not depend on what weights are.

``random:llama-3.2-1b`` names one of ``PUBLISHED``, ``random:FOLDER`` a folder with ``config.json``
and a tokenizer. The published ones read text with the default model's tokenizer, whose ids they all
have: a tokenizer of their own would need a download.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sharedcli.benchmarks.published import PREFIX, PUBLISHED, check_random
from sharedcli.engine.loading import NO_ADAPTER, LoadedModel, untrained_adapter
from sharedcli.errors import OutOfMemoryError, UsageError
from sharedcli.measuring.memory import available_bytes
from sharedcli.model.adapter import load_adapter
from sharedcli.model.base import Base, BaseIdentity
from sharedcli.model.devices import guard_memory, resolve_attention, resolve_device, resolve_dtype
from sharedcli.model.fetch import fetch_default
from sharedcli.model.layout import check_modules
from sharedcli.model.lean_import import import_transformers
from sharedcli.model.quiet import quiet_transformers
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.paths import home_path

if TYPE_CHECKING:
    from sharedcli.settings import Settings

_BLOCK, _SPREAD = 1 << 20, 0.02


def load_random(settings: Settings) -> LoadedModel:
    """Make a base of random weights, seeded, with an untrained adapter or the one that is named.

    Raises:
        UsageError: no such configuration, or a quantization is asked for.
        OutOfMemoryError: the weights do not fit.
    """
    check_random(settings.model)
    if settings.quantization is not None:
        raise UsageError(
            f"random weights are not quantised; leave --quantization {settings.quantization} out"
        )
    import_transformers()
    name = settings.model.removeprefix(PREFIX)
    config, folder = _configuration(name, settings)
    place = resolve_device(settings.device)
    number = resolve_dtype(settings.dtype, place)
    attention = resolve_attention(settings.attn_implementation, place, number)
    with quiet_transformers(), guard_memory(f"making {settings.model}"):
        model = _random_model(config, place, number, attention, settings.seed)
        tokenizer = _tokenizer(folder)
    made = json.dumps([config.to_dict(), settings.seed], sort_keys=True, default=str)
    digest = hashlib.sha256(made.encode()).hexdigest()
    dtype = str(number).removeprefix("torch.")
    identity = BaseIdentity(settings.model, digest, digest, dtype, None)
    base = Base(model, tokenizer, identity, place, number, None, attention)
    if settings.adapter in (None, NO_ADAPTER):
        adapter, known, sha256 = untrained_adapter(base), NO_ADAPTER, NO_ADAPTER
    else:
        adapter = load_adapter(home_path(settings.adapter or ""), base.model)
        known, sha256 = str(settings.adapter), adapter.digest()
    adapter.to(number)
    return LoadedModel(base, SharedLLM(base.model, adapter), known, sha256, settings.index_weights)


def _configuration(name: str, settings: Settings) -> tuple[Any, Path]:
    """The configuration, and the folder of the tokenizer."""
    from transformers import AutoConfig

    if name in PUBLISHED:
        values = dict(PUBLISHED[name])
        folder = fetch_default(settings.cache, offline=settings.offline)
        return AutoConfig.for_model(values.pop("model_type"), **values), folder
    folder = home_path(name)
    try:
        return AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        ), folder
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{folder}/config.json cannot be read ({reason})") from error


def _random_model(
    config: Any, place: torch.device, number: torch.dtype, attention: str, seed: int
) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with torch.device("meta"):
        sketch: Any = AutoModelForCausalLM.from_config(config)
    check_modules(sketch, config.model_type)
    needed = sketch.num_parameters() * number.itemsize
    free = available_bytes(place)
    if free is not None and needed > free:
        raise OutOfMemoryError(
            f"{sketch.num_parameters():,} random weights need {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free; use a smaller configuration or --dtype bfloat16"
        )
    with no_init_weights(), torch.device(place):
        model: Any = AutoModelForCausalLM.from_config(
            config, dtype=number, attn_implementation=attention
        )
    model.tie_weights()
    model.eval().requires_grad_(False)
    _fill(model, seed)
    return model


def _fill(model: Any, seed: int) -> None:
    """Fill matrices with one block of random values over and over: drawing all takes minutes."""
    generator = torch.Generator().manual_seed(seed)
    block = torch.randn(_BLOCK, generator=generator) * _SPREAD
    for weight in model.parameters():
        if weight.dim() < 2:
            weight.fill_(1.0)  # norms
            continue
        flat = weight.view(-1)
        drawn = block.to(flat)
        for part in flat.split(_BLOCK):
            part.copy_(drawn[: len(part)])


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # missing or broken files surface as many classes
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{folder} has no tokenizer that can be loaded ({reason})") from error
