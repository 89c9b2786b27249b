"""A model's files on this machine: found, fetched or converted, and checked before they are read.

Only safetensors count as weights: pickles can run code when they are read.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.model.fetch import OnStep, fetch_default
from sharedcli.model.folders import read_manifest, verify_folder
from sharedcli.model.layout import check_modules
from sharedcli.model.lean_import import import_transformers
from sharedcli.model.source import ModelSource


def local_folder(
    source: ModelSource, cache: Path, on_step: OnStep | None
) -> tuple[Path, str | None]:
    """The folder with the model's files, and the digest of the pinned default model's weights."""
    if source.kind == "folder" and source.path is not None:
        _check_folder(source.path, source)
        return source.path, None
    if source.kind == "hub":
        from sharedcli.model.hub import snapshot

        return snapshot(source, lambda folder: _check_config(folder, source)), None
    if source.kind == "gguf" and source.path is not None:
        from sharedcli.model.convert import converted_folder

        folder = converted_folder(source.path, cache)
    else:
        folder = fetch_default(cache, offline=source.offline, on_step=on_step)
    manifest = read_manifest(folder)
    if manifest is None:
        raise ModelMissingError(f"{folder} is incomplete; delete it and give the command again")
    verify_folder(folder, manifest, cache)
    return folder, str(manifest["weights_sha256"]) if source.kind == "default" else None


def _check_folder(folder: Path, source: ModelSource) -> None:
    weight_files(folder, source)
    _check_config(folder, source)


def weight_files(folder: Path, source: ModelSource) -> list[Path]:
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
            if path.parent != folder:
                raise CorruptionError(f"{index} names files outside its folder; do not use it")
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
    import_transformers()
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
