"""Load a base: one causal language model of the Llama style, with its tokenizer.

Notable choices:
- Everything goes through ``transformers``' own auto classes; there is no modelling code here.
- Only safetensors are read: no pickles, and no code from a model's folder.
- The base is frozen and in evaluation mode: what training adds lives in adapters beside it.
- A base is identified by what its files contain, not by where they lie.

It does not know about compression, injection or adapters.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.model.devices import guard_memory, resolve_attention, resolve_device, resolve_dtype
from sharedcli.model.digests import file_sha256, weights_sha256
from sharedcli.model.direct import load_directly
from sharedcli.model.fetch import OnStep, fetch_default
from sharedcli.model.folders import read_manifest, verify_folder
from sharedcli.model.layout import check_modules, check_residual
from sharedcli.model.lean_import import import_transformers
from sharedcli.model.quantization import quantization_config, resolve_quantization
from sharedcli.model.quiet import quiet_transformers
from sharedcli.model.source import ModelSource, resolve_model
from sharedcli.settings import default_cache

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")


@dataclass(frozen=True)
class BaseIdentity:
    """What must agree for a stored context tree to fit.

    Attributes:
        model_id: what people call the model; says nothing about its content.
        weights_sha256: over the content of all tensors, see ``digests.weights_sha256``.
        tokenizer_sha256: over the tokenizer's files.
        dtype: number format of the activations, e.g. "bfloat16".
        quantization: "bnb-4bit", "bnb-8bit" or None.
    """

    model_id: str
    weights_sha256: str
    tokenizer_sha256: str
    dtype: str
    quantization: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Plain values, for the store and for adapter configurations."""
        return asdict(self)


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
    attention = resolve_attention(attn_implementation)
    kind = resolve_quantization(quantization, place)
    cache = cache or default_cache()
    import_transformers()
    folder, weights = _local_folder(source, cache, on_step)
    with quiet_transformers(), guard_memory(f"loading {source.model_id}"):
        options: dict[str, Any] = {"dtype": number, "attn_implementation": attention}
        if source.kind in ("default", "gguf") and kind is None:
            model = load_directly(folder, number, attention).to(place)
        else:
            model = _load_model(folder, source, place, options, quantization_config(kind, number))
        model.eval().requires_grad_(False)
        tokenizer = _load_tokenizer(folder, source)
    identity = BaseIdentity(
        model_id=source.model_id,
        weights_sha256=weights or weights_sha256(_weight_files(folder, source), cache),
        tokenizer_sha256=_tokenizer_sha256(folder, cache),
        dtype=str(number).removeprefix("torch."),
        quantization=kind,
    )
    return Base(model, tokenizer, identity, place, number, kind, attention)


def _local_folder(
    source: ModelSource, cache: Path, on_step: OnStep | None
) -> tuple[Path, str | None]:
    """The folder with the model's files, and the digest of its weights where a manifest has it."""
    if source.kind == "folder" and source.path is not None:
        _check_folder(source.path, source)
        return source.path, None
    if source.kind == "hub":
        from sharedcli.model.hub import snapshot

        return snapshot(source, lambda folder: _check_config(folder, source)), None
    if source.kind == "gguf" and source.path is not None:
        from sharedcli.model.convert import converted_folder

        folder = converted_folder(source.path, cache)
        _check_config(folder, source)
    else:
        folder = fetch_default(cache, offline=source.offline, on_step=on_step)
    manifest = read_manifest(folder)
    if manifest is None:
        raise ModelMissingError(f"{folder} is incomplete; delete it and give the command again")
    verify_folder(folder, manifest, cache)
    return folder, str(manifest["weights_sha256"])


def _check_folder(folder: Path, source: ModelSource) -> None:
    _weight_files(folder, source)
    _check_config(folder, source)


def _weight_files(folder: Path, source: ModelSource) -> list[Path]:
    """The safetensors files that make up the model, in name order."""
    index = folder / "model.safetensors.index.json"
    if (single := folder / "model.safetensors").is_file():
        return [single]
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptionError(f"{index} is damaged; get the model again") from error
        files = [folder / str(name) for name in sorted(names)]
        for path in files:
            if not path.is_file():
                raise ModelMissingError(
                    f"{source.model_id} is incomplete: {path.name} is missing; get it again"
                )
        return files
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise UsageError(
            f"{source.model_id} has only pickled weights, which can run code when they are read; "
            "use a version with safetensors files"
        )
    raise ModelMissingError(f"{folder} has no safetensors weights; give a complete model folder")


def _check_config(folder: Path, source: ModelSource) -> None:
    """Refuse what is not of the Llama style before its weights are read or downloaded."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # whatever a foreign configuration makes transformers do
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{source.model_id} is not a language model that transformers knows ({reason}); "
            "use a Llama, Mistral, Qwen2, Qwen3 or SmolLM model"
        ) from error
    check_modules(model, source.model_id)


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
        model: PreTrainedModel
        model, report = AutoModelForCausalLM.from_pretrained(
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
    if missing := report["missing_keys"]:  # transformers would fill them with random numbers
        raise CorruptionError(
            f"the weights of {source.model_id} lack {min(missing)}; get the model again"
        )
    if source.kind != "default":
        check_modules(model, source.model_id)
        check_residual(model, source.model_id, device)
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


def _tokenizer_sha256(folder: Path, cache: Path) -> str:
    """Digest of tokenizer.json, or of the older files in their place."""
    found = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    if found and found[0].name == "tokenizer.json":
        return file_sha256(found[0], cache)
    return hashlib.sha256("".join(file_sha256(path, cache) for path in found).encode()).hexdigest()
