"""Model folders in the cache: complete or absent, with a manifest of every file's SHA-256.

Notable choices:
- A folder is filled beside its place, synced to the disk and renamed, under a lock: a killed
  process or a second one never leaves a half-made model that could be used.
- Digests are compared whenever a file's size or time is new (see ``digests``), so a damaged cache
  is refused and not used.

It does not know what is in the files.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sharedcli.errors import CorruptionError, ModelMissingError
from sharedcli.model.digests import file_sha256, stream_sha256, weights_sha256

_MANIFEST = "manifest.json"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The folder's manifest; None if there is none, or a file is missing or of another size."""
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        for name, entry in manifest["files"].items():
            if (folder / name).stat().st_size != entry["size"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest


def verify_folder(folder: Path, manifest: dict[str, Any], cache: Path) -> None:
    """Compare each file with the manifest; quick where its size and time were seen before.

    Raises:
        CorruptionError: a file's bytes are not the ones that were written.
    """
    for name, entry in manifest["files"].items():
        if file_sha256(folder / name, cache) != entry["sha256"]:
            raise CorruptionError(
                f"{folder / name} is damaged (its SHA-256 is not the recorded one); "
                "delete that folder and give the command again"
            )


def publish_folder(
    folder: Path,
    fill: Callable[[Path, Path], dict[str, Any]],
    cache: Path,
    on_wait: Callable[[], None] = lambda: None,
) -> None:
    """Make ``folder`` by ``fill(work, content)``, unless another process has just made it.

    Args:
        folder: its final place; an incomplete folder there is replaced.
        fill: writes the files into the empty folder ``content``, may use ``work`` for what is
            thrown away, and returns facts for the manifest.
        cache: where digests are remembered.
        on_wait: called when another process holds the lock, before waiting for it.

    Raises:
        ModelMissingError: the disk is full or may not be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
        try:
            if read_manifest(folder) is None:
                _make(folder, fill)
                verify_folder(folder, read_manifest(folder) or {"files": {}}, cache)
        finally:
            lock.release()
    except OSError as error:
        raise ModelMissingError(
            f"cannot write the model into {folder.parent} ({error.strerror or error}); "
            "free some space, or set SHAREDCLI_CACHE to a folder that can be written"
        ) from error


def _make(folder: Path, fill: Callable[[Path, Path], dict[str, Any]]) -> None:
    for left in folder.parent.glob(f".{folder.name}-*.partial"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent))
    try:
        content = work / "content"
        content.mkdir()
        facts = fill(work, content)
        files = sorted(path for path in content.iterdir() if path.is_file())
        facts["weights_sha256"] = weights_sha256(
            [path for path in files if path.suffix == ".safetensors"], None
        )
        facts["files"] = {
            path.name: {"size": path.stat().st_size, "sha256": _digest(path)} for path in files
        }
        (content / _MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        for path in content.iterdir():
            _sync(path, os.O_RDWR)
        if folder.exists():
            shutil.rmtree(folder)
        content.replace(folder)
        if os.name != "nt":  # folders cannot be opened there
            _sync(folder.parent, os.O_RDONLY)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return stream_sha256(stream)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
