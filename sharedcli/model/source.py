"""What ``--model`` means: the default, a local folder, a GGUF file, or a Hugging Face id.

It looks at names and files only; nothing is fetched or loaded here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sharedcli.errors import ModelMissingError, UsageError
from sharedcli.model.fetch import DEFAULT_MODEL_ID
from sharedcli.paths import home_path

Kind = Literal["default", "hub", "folder", "gguf"]

_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")


@dataclass(frozen=True)
class ModelSource:
    """Where a base comes from.

    Attributes:
        kind: "default", "hub", "folder" or "gguf".
        model_id: what people call it: the default's name, the hub id, or the path's last part.
        path: the local folder or file; None for "default" and "hub".
        revision: branch, tag or commit on the hub; None for its default branch.
        offline: the network must not be touched.
    """

    kind: Kind
    model_id: str
    path: Path | None = None
    revision: str | None = None
    offline: bool = False


def resolve_model(spec: str, offline: bool = False, revision: str | None = None) -> ModelSource:
    """Decide what ``spec`` names. A path that exists wins over a hub id of the same name.

    Args:
        spec: "default", "smollm2-135m-instruct", a folder, a ``.gguf`` file, or "owner/name".
        offline: never touch the network; also on where HF_HUB_OFFLINE is set.
        revision: for hub ids only.

    Raises:
        UsageError: ``spec`` can be none of these, or ``revision`` has no meaning for it.
        ModelMissingError: ``spec`` is a path and nothing is there.
    """
    offline = offline or hub_is_offline()
    text = spec.strip()
    if text.lower() in ("default", DEFAULT_MODEL_ID, ""):
        source = ModelSource("default", DEFAULT_MODEL_ID, offline=offline)
    elif (path := home_path(text)).exists():
        source = _local(path, offline)
    elif _looks_like_path(text):
        raise ModelMissingError(
            f"there is no model at {text}; give a folder with config.json and safetensors files, "
            "a .gguf file, or a Hugging Face id such as owner/name"
        )
    elif _HUB_ID.fullmatch(text) and ".." not in text:
        return ModelSource("hub", text, revision=revision, offline=offline)
    else:
        raise UsageError(
            f"{text!r} is not a model; give a folder, a .gguf file or a Hugging Face id"
        )
    if revision is not None:
        raise UsageError(
            f"--revision {revision} is for Hugging Face ids; {text or 'default'} has no revisions"
        )
    return source


def hub_is_offline() -> bool:
    """Whether the environment forbids the network (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)."""
    return any(
        os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def _looks_like_path(text: str) -> bool:
    return (
        text.startswith((".", "/", "~", "\\"))
        or text.lower().endswith(".gguf")
        or text.count("/") > 1
        or "\\" in text
    )


def _local(path: Path, offline: bool) -> ModelSource:
    path = path.resolve()
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise UsageError(
                f"{path} is not a model file; give its folder, or a file that ends in .gguf"
            )
        return ModelSource("gguf", path.name, path, offline=offline)
    if not (path / "config.json").is_file():
        raise UsageError(
            f"{path} is not a model folder: it has no config.json; "
            "give a folder with config.json, tokenizer.json and safetensors files"
        )
    return ModelSource("folder", path.name, path, offline=offline)
