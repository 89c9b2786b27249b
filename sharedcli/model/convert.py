"""GGUF to safetensors, once: dequantising takes ten seconds, loading the result a fraction of one.

Notable choices:
- Quantised weights become bfloat16: against float32 the default model's loss on English text rises
  by 0.0006 (KL divergence 7e-5 nats per token), far below what its 4-bit quantisation cost, for
  half of the disk. Files that hold float16 or float32 keep their type.
- GGUF names its pre-tokeniser but does not contain it, and the conversion in ``transformers``
  leaves a plain byte-level one. For "smollm" the digit splitting is put back, as llama.cpp does;
  without it blanks and line breaks before numbers become tokens that the model never saw.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from sharedcli.errors import UsageError
from sharedcli.model.digests import file_sha256
from sharedcli.model.folders import publish_folder, read_manifest
from sharedcli.model.quiet import quiet_gguf, quiet_transformers

_FORMAT = 1  # of the converted folder; a new number makes a new folder
_DIGIT_SPLITTING = ("smollm", "starcoder", "refact", "command-r")


def converted_folder(gguf: Path, cache: Path) -> Path:
    """The safetensors folder of a GGUF file, converted on first use and kept in ``cache``.

    Raises:
        UsageError: the file is not a GGUF model that ``transformers`` can read.
        ModelMissingError: the cache cannot be written.
    """
    digest = file_sha256(gguf, cache)
    folder = cache / "models" / f"gguf-{digest[:32]}-v{_FORMAT}"

    def fill(work: Path, content: Path) -> dict[str, Any]:
        del work
        source = {"file": gguf.name, "sha256": digest}
        return {"format": _FORMAT, "source": source, "dtype": convert_gguf(gguf, content)}

    if read_manifest(folder) is None:
        publish_folder(folder, fill, cache)
    return folder


def convert_gguf(gguf: Path, folder: Path) -> str:
    """Write ``gguf`` as config, tokenizer and safetensors into the existing ``folder``.

    Returns:
        The stored dtype: "bfloat16", "float16" or "float32".

    Raises:
        UsageError: the file is not a GGUF model that ``transformers`` can read.
    """
    dtype_name, pre_tokenizer = _inspect(gguf)
    with quiet_transformers(), quiet_gguf():
        try:
            model, tokenizer = _load(gguf, dtype_name)
        except (ValueError, KeyError, OSError, NotImplementedError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UsageError(
                f"{gguf} cannot be read as a language model ({reason}); "
                "use a Llama, Mistral or Qwen GGUF file"
            ) from error
        if pre_tokenizer in _DIGIT_SPLITTING:
            _split_digits(tokenizer)
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(folder, max_shard_size="4GB")
        tokenizer.save_pretrained(folder)
    return dtype_name


def _inspect(gguf: Path) -> tuple[str, str]:
    """The dtype to store and the name of the pre-tokeniser."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(str(gguf))
    except (ValueError, OSError, IndexError) as error:
        raise UsageError(f"{gguf} is not a GGUF file ({error}); check the path") from error
    kinds = Counter(
        str(tensor.tensor_type.name) for tensor in reader.tensors if len(tensor.shape) > 1
    )
    common = kinds.most_common(1)[0][0] if kinds else "F32"
    field = reader.get_field("tokenizer.ggml.pre")
    name = str(field.contents()) if field else ""
    return {"F32": "float32", "F16": "float16"}.get(common, "bfloat16"), name


def _load(gguf: Path, dtype_name: str) -> tuple[Any, Any]:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=getattr(torch, dtype_name),
        local_files_only=True,
        quantization_config=transformers.GgufConfig(dequantize=True),  # else blocks stay packed
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    return model, tokenizer


def _split_digits(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
