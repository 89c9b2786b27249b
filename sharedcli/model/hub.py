"""A model's files from the Hugging Face cache, or from the hub where the network may be used.

Notable choices:
- Only configuration, tokenizer and safetensors files are asked for: never pickles, never code.
- The configuration comes first, so that a model that cannot be used is refused before gigabytes
  are downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sharedcli.errors import ModelMissingError, SharedCLIError
from sharedcli.model.source import ModelSource

_SMALL = ["*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]
_WEIGHTS = ["*.safetensors"]
_ELSEWHERE = ["*/*"]  # "original/", "onnx/": copies in other formats


def snapshot(source: ModelSource, check: Callable[[Path], None]) -> Path:
    """The local folder of a hub model, complete.

    Args:
        source: of kind "hub".
        check: called with the folder when configuration and tokenizer are there.

    Raises:
        ModelMissingError: unknown, gated, unreachable, or not in the cache while offline.
    """
    from huggingface_hub import snapshot_download

    def get(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                source.model_id,
                revision=source.revision,
                allow_patterns=patterns,
                ignore_patterns=_ELSEWHERE,
                local_files_only=source.offline,
            )
        )

    try:
        check(get(_SMALL))
        return get(_SMALL + _WEIGHTS)
    except SharedCLIError:
        raise
    except Exception as error:  # a dozen classes of three libraries, all of them "could not get it"
        raise ModelMissingError(_explain(source, error)) from error


def _explain(source: ModelSource, error: Exception) -> str:
    name = source.model_id + (f" (revision {source.revision})" if source.revision else "")
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if source.offline:
        return (
            f"the model {name} is not in the Hugging Face cache and offline mode forbids fetching "
            "it; run once without --offline, or pass --model with a local folder"
        )
    if "GatedRepoError" in kinds:
        return (
            f"the model {name} needs a licence to be accepted; accept it on its page and log in "
            "(hf auth login)"
        )
    if "RevisionNotFoundError" in kinds:
        return f"the model {source.model_id} has no revision {source.revision}; check --revision"
    if "RepositoryNotFoundError" in kinds or "HFValidationError" in kinds:
        return (
            f"the hub has no model {name} that you may read; check --model, or log in "
            "(hf auth login)"
        )
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return (
        f"the model {name} could not be fetched from the hub ({reason}); check the network, or "
        "pass --model with a local folder, a .gguf file, or `default`"
    )
