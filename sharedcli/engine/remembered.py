"""Who would make the trees, remembered: so that a run that finds nothing new loads no model.

After each real load the identity is kept in ``CACHE/identities``, with everything that it depends
on: the settings, the version of the package and of torch, the machine, and size, times and inode of
every file of model and adapter. If any of these is another one now, nothing is remembered and the
model is loaded. ``ask`` always checks against the model that it has really loaded.

Rates are kept beside it, for ``index --dry-run``: what the last run measured on this machine.
No torch here.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from sharedcli import __version__
from sharedcli.errors import SharedCLIError
from sharedcli.model.digests import write_note
from sharedcli.model.fetch import default_folder
from sharedcli.model.source import ModelSource, resolve_model
from sharedcli.paths import home_path
from sharedcli.retrieve.encoder_files import ENCODER_ID, is_fetched
from sharedcli.settings import Settings
from sharedcli.store.identity import NO_ENCODER, TREE_FORMAT_VERSION, TreeIdentity

_SETTINGS = (
    "model",
    "revision",
    "device",
    "dtype",
    "quantization",
    "adapter",
    "slot_format",
    "index_weights",
    "chunk_tokens",
    "depth",
    "slots_per_node",
    "levels",
    "slot_choice",
    "lead_tokens",
    "stored_depth",
    "strip_chunks",
    "exit_layer",
    "pruning_layer",
)
_GPUS = ("/dev/nvidiactl", "/dev/kfd")
_COMMIT_DIGITS = 40

Fingerprint = dict[str, Any]


def fingerprint(settings: Settings) -> Fingerprint | None:
    """Everything that the identity depends on; None if it cannot be told without loading."""
    try:
        source = resolve_model(settings.model, settings.offline, settings.revision)
    except SharedCLIError:
        return None
    model = _model_files(source, settings.cache)
    adapter = _adapter_files(settings.adapter)
    if not model or adapter is None:
        return None
    return {
        "version": __version__,
        "torch": _torch_version(),
        "tree_format": TREE_FORMAT_VERSION,
        "machine": [platform.node(), platform.machine(), platform.system()],
        "gpus": [Path(device).exists() for device in _GPUS],
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "settings": {name: getattr(settings, name) for name in _SETTINGS},
        "model": model,
        "adapter": adapter,
    }


def recall(settings: Settings) -> TreeIdentity | None:
    """Return the identity under ``settings``, or None if only loading the model can tell."""
    encoder = ENCODER_ID if settings.embed == "index" else NO_ENCODER
    if encoder == ENCODER_ID and not is_fetched(settings.cache):
        if not settings.offline:
            return None  # it would be fetched
        encoder = NO_ENCODER
    now = fingerprint(settings)
    if now is None:
        return None
    note = _read(_identity_note(settings, now))
    if note.get("fingerprint") != now:
        return None
    try:
        identity = TreeIdentity.from_json(json.dumps(note["identity"]))
    except (KeyError, TypeError, ValueError):
        return None
    if note.get("digest") != identity.digest:
        return None
    return replace(identity, passage_encoder=encoder)


def remember(settings: Settings, before: Fingerprint | None, identity: TreeIdentity) -> None:
    """Keep ``identity``, which a real load gave, unless a file changed since ``before`` it."""
    now = fingerprint(settings)
    if now is None or before not in (None, now):
        return
    plain = replace(identity, passage_encoder=NO_ENCODER)
    content = {"fingerprint": now, "identity": json.loads(plain.to_json()), "digest": plain.digest}
    note = _identity_note(settings, now)
    if _read(note) != json.loads(json.dumps(content)):
        write_note(note, content)


@dataclass(frozen=True)
class Rates:
    """What indexing took on this machine.

    Attributes:
        tokens_per_second, bytes_per_token, characters_per_token: tokens read, bytes stored, text.
        peak_bytes: memory of the process at its peak; 0 if the system does not tell.
        longest: tokens of the run's longest document.
    """

    tokens_per_second: float
    bytes_per_token: float
    characters_per_token: float
    peak_bytes: float = 0.0
    longest: float = 0.0


def recall_rates(settings: Settings, identity: TreeIdentity) -> Rates | None:
    """Return what the last run with this identity measured."""
    note = _read(_rates_note(settings, identity))
    try:
        rates = Rates(**{name: float(note[name]) for name in note})
    except (KeyError, TypeError, ValueError):
        return None
    known = rates.tokens_per_second, rates.bytes_per_token, rates.characters_per_token
    return rates if min(known) > 0 and min(rates.peak_bytes, rates.longest) >= 0 else None


def remember_rates(settings: Settings, identity: TreeIdentity, rates: Rates) -> None:
    """Keep what a run measured."""
    write_note(_rates_note(settings, identity), asdict(rates))


def _identity_note(settings: Settings, found: Fingerprint) -> Path:
    name = hashlib.sha256(json.dumps(found["settings"], sort_keys=True).encode()).hexdigest()
    return settings.cache / "identities" / f"{name}.json"


def _rates_note(settings: Settings, identity: TreeIdentity) -> Path:
    name = hashlib.sha256(f"{platform.node()}:{identity.digest}".encode()).hexdigest()
    return settings.cache / "rates" / f"{name}.json"


def _read(note: Path) -> dict[str, Any]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _model_files(source: ModelSource, cache: Path) -> list[list[Any]]:
    if source.kind == "gguf" and source.path is not None:
        return _stats([source.path])
    if source.kind == "folder" and source.path is not None:
        return _folder(source.path)
    if source.kind == "default":
        return _folder(default_folder(cache))
    return _hub_files(source)


def _hub_files(source: ModelSource) -> list[list[Any]]:
    """A hub model's files in the Hugging Face cache; none if the hub may have newer ones."""
    from huggingface_hub.constants import HF_HUB_CACHE

    home = Path(HF_HUB_CACHE, "models--" + source.model_id.replace("/", "--"))
    commit = source.revision or ""
    if len(commit) != _COMMIT_DIGITS:
        if not source.offline:
            return []
        try:
            commit = (home / "refs" / (source.revision or "main")).read_text("utf-8").strip()
        except (OSError, ValueError):
            return []
    return _folder(home / "snapshots" / commit)


def _adapter_files(adapter: str | None) -> list[list[Any]] | None:
    if adapter == "none":
        return []
    if adapter is not None:
        return _folder(home_path(adapter)) or None
    shipped = files("sharedcli.weights")
    if not isinstance(shipped, Path):
        return None  # a package inside of an archive
    folders = sorted(path for path in shipped.iterdir() if path.is_dir())
    return [entry for folder in folders for entry in _folder(folder)]


def _folder(folder: Path) -> list[list[Any]]:
    try:
        return _stats(sorted(path for path in folder.iterdir() if path.is_file()))
    except OSError:
        return []


def _stats(paths: list[Path]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            return []
        # the change time moves even where somebody sets the modification time back
        times = [status.st_mtime_ns, status.st_ctime_ns]
        found.append([str(path.absolute()), status.st_size, *times, status.st_ino])
    return found


@cache
def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
