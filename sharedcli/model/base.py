"""Load a base: one causal language model of the Llama style, with its tokenizer.

Notable choices:
- Everything goes through ``transformers``' own auto classes; there is no modelling code here.
- Only safetensors are read: no pickles, and no code from a model's folder.
- The base is frozen and in evaluation mode: what training adds lives in adapters beside it.
- A base is identified by what its files contain, not by where they lie.

It does not know about compression, injection or adapters.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from sharedcli.errors import CorruptionError, OutOfMemoryError, UsageError
from sharedcli.model.checkpoint import local_folder, weight_files
from sharedcli.model.devices import guard_memory, resolve_attention, resolve_device, resolve_dtype
from sharedcli.model.direct import load_directly
from sharedcli.model.fetch import OnStep
from sharedcli.model.identity import BaseIdentity, content_sha256, tokenizer_sha256
from sharedcli.model.layout import check_modules, check_residual
from sharedcli.model.lean_import import import_transformers
from sharedcli.model.quantization import quantization_config, resolve_quantization
from sharedcli.model.quiet import quiet_transformers
from sharedcli.model.source import ModelSource, resolve_model
from sharedcli.settings import default_cache

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Base", "BaseIdentity", "load_base"]


@dataclass(frozen=True)
class Base:
    """A loaded base model. Sizes are those of the model's configuration.

    Attributes:
        model: frozen causal language model in evaluation mode, layers in ``model.model.layers``.
        tokenizer: always a fast one, so that it gives character offsets.
        identity: for checking stored trees and adapters.
        device, dtype: where activations are, and their number format.
        quantization: "bnb-4bit", "bnb-8bit" or None.
        attn_implementation: "sdpa", "eager" or "flash_attention_2".
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: BaseIdentity
    device: torch.device
    dtype: torch.dtype
    quantization: str | None
    attn_implementation: str

    @property
    def config(self) -> Any:
        """The model's configuration with Hugging Face's field names."""
        return self.model.config

    @property
    def layers(self) -> int:
        """Number of decoder layers, L."""
        return int(self.config.num_hidden_layers)

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream, E."""
        return int(self.config.hidden_size)

    @property
    def heads(self) -> int:
        """Query heads, H."""
        return int(self.config.num_attention_heads)

    @property
    def kv_heads(self) -> int:
        """Key and value heads, K."""
        return int(getattr(self.config, "num_key_value_heads", None) or self.heads)

    @property
    def head_dim(self) -> int:
        """Size of one head, D."""
        return int(getattr(self.config, "head_dim", None) or self.hidden_size // self.heads)

    @property
    def window(self) -> int:
        """Tokens that the model was made to read at once."""
        return int(self.config.max_position_embeddings)

    @property
    def memory_bytes(self) -> int:
        """Bytes of parameters and buffers."""
        return int(self.model.get_memory_footprint())


def load_base(
    source: ModelSource | str = "default",
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    attn_implementation: str = "sdpa",
    quantization: str | None = None,
    revision: str | None = None,
    offline: bool = False,
    cache: Path | None = None,
    on_step: OnStep | None = None,
) -> Base:
    """Load the model that ``source`` names, fetching the default one if it is not there yet.

    Args:
        source: a ``ModelSource``, or what ``resolve_model`` accepts.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto", "float32", "bfloat16", "float16" or "float64".
        attn_implementation: "sdpa", "eager" or "flash_attention_2".
        quantization: None, "bnb-4bit" (NF4) or "bnb-8bit".
        revision: of a hub model.
        offline: never touch the network.
        cache: for the default model, conversions and digests; the user's cache directory if None.
        on_step: told the steps of fetching the default model.

    Raises:
        ModelMissingError: not on this machine and not to be had.
        UsageError: not a model that sharedcli can use, or an option does not fit.
        CorruptionError: the model's files are damaged.
        OutOfMemoryError: it does not fit.
    """
    if isinstance(source, str):
        source = resolve_model(source, offline, revision)
    if offline or source.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
    place = resolve_device(device) if isinstance(device, str) else device
    number = resolve_dtype(dtype, place) if isinstance(dtype, str) else dtype
    attention = resolve_attention(attn_implementation, place, number)
    kind = resolve_quantization(quantization, place)
    cache = cache or default_cache()
    folder, weights = local_folder(source, cache, on_step)
    import_transformers()
    with quiet_transformers(), guard_memory(f"loading {source.model_id}"):
        options: dict[str, Any] = {"dtype": number, "attn_implementation": attention}
        if source.kind in ("default", "gguf") and kind is None:
            model = load_directly(folder, number, attention).to(place)
        else:
            model = _load_model(folder, source, place, options, quantization_config(kind, number))
        model.eval().requires_grad_(False)
        if source.kind != "default":  # that one is pinned and known
            check_modules(model, source.model_id)
            check_residual(model, source.model_id, place)
        tokenizer = _load_tokenizer(folder, source)
    identity = BaseIdentity(
        model_id=source.model_id,
        weights_sha256=weights or content_sha256(folder, weight_files(folder, source), cache),
        tokenizer_sha256=tokenizer_sha256(folder, cache),
        dtype=str(number).removeprefix("torch."),
        quantization=kind,
    )
    return Base(model, tokenizer, identity, place, number, kind, attention)


def _load_model(
    folder: Path,
    source: ModelSource,
    device: torch.device,
    options: dict[str, Any],
    quantization: Any,
) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    if quantization is not None:
        options["quantization_config"] = quantization
    if quantization is not None or device.type != "cpu":
        options["device_map"] = {"": device}  # straight to the device, without a copy in memory
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{source.model_id} cannot be loaded ({reason}); give a complete model folder"
        ) from error
    except RuntimeError as error:
        if quantization is None or "automatic conversion" not in str(error):
            raise
        raise OutOfMemoryError(
            f"{source.model_id} could not be quantised while it was loaded, most likely for want "
            "of memory; try a smaller --model or --device cpu, or --debug to see why"
        ) from error
    model: PreTrainedModel = loaded[0]
    if missing := loaded[1]["missing_keys"]:  # transformers would fill them with random numbers
        raise CorruptionError(
            f"the weights of {source.model_id} lack {min(missing)}; get the model again"
        )
    return model


def _load_tokenizer(folder: Path, source: ModelSource) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # missing or broken files surface as many classes
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{source.model_id} has no tokenizer that can be loaded ({reason}); "
            "give a folder with tokenizer.json"
        ) from error
    if not tokenizer.is_fast:
        raise UsageError(
            f"{source.model_id} has no fast tokenizer; give a folder with tokenizer.json"
        )
    return tokenizer
