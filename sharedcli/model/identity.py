"""What must agree for a stored context tree, or an adapter, to fit a base model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sharedcli.model.digests import file_sha256, weights_sha256

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")

# what a configuration file says about its making and storage, not about the model
_INCIDENTAL = (
    "_name_or_path",
    "architectures",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "use_cache",
)


@dataclass(frozen=True)
class BaseIdentity:
    """What must agree for a stored context tree to fit.

    Attributes:
        model_id: what people call the model; says nothing about its content.
        weights_sha256: over the content of all tensors, and the configuration (equal tensors
            with other rotary frequencies are another model).
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


def content_sha256(folder: Path, weight_files: list[Path], cache: Path) -> str:
    """Hex SHA-256 over the tensors in ``weight_files`` and the folder's configuration."""
    weights = weights_sha256(weight_files, cache)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in _INCIDENTAL:
        config.pop(name, None)
    return hashlib.sha256((weights + json.dumps(config, sort_keys=True)).encode()).hexdigest()


def tokenizer_sha256(folder: Path, cache: Path) -> str:
    """Hex SHA-256 of tokenizer.json, or of the older files in their place."""
    found = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    if found and found[0].name == "tokenizer.json":
        return file_sha256(found[0], cache)
    return hashlib.sha256("".join(file_sha256(path, cache) for path in found).encode()).hexdigest()
