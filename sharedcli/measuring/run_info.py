"""What a figure depends on: model, adapter, geometry, settings, files, versions, device, commit."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import sharedcli

if TYPE_CHECKING:
    from sharedcli.engine.loading import LoadedModel
    from sharedcli.settings import Settings

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
SETTINGS = ("budget", "passages", "inject", "seed", "max_tokens")


def setup(
    task: str, settings: Settings, model: LoadedModel | None, files: Sequence[Path], **more: Any
) -> dict[str, Any]:
    """Return what records depend on; two runs with equal setups may share a folder."""
    found: dict[str, Any] = {"task": task}
    if model is not None:
        identity = model.base.identity
        found |= {
            "model": identity.model_id,
            "weights": identity.weights_sha256,
            "dtype": identity.dtype,
            "quantization": identity.quantization or "none",
            "adapter": model.adapter_name,
            "adapter_sha256": model.adapter_sha256,
            "injected_layers": model.shared.injected_layers,
            "form": model.shared.config.form,
            "geometry": model.geometry(settings).to_dict(),
            "compressor": model.reading,
            "attention": model.base.attn_implementation,
        }
    found |= {name: getattr(settings, name) for name in SETTINGS}
    found["files"] = {path.name: file_digest(path) for path in files}
    return {**found, **more}


def run_info(known: dict[str, Any], model: LoadedModel | None) -> dict[str, Any]:
    """Return the setup with versions, device, commit and time: the ``run`` object of a result."""
    device = model.base.device if model else torch.device("cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        **known,
        "sharedcli": sharedcli.__version__,
        "commit": commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": str(device),
        "device_name": name,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def processor() -> str:
    """The CPU's name as its maker gives it, where the system tells; else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of names and sizes for a folder."""
    digest = hashlib.sha256()
    if path.is_dir():
        for one in sorted(path.rglob("*")):
            if one.is_file():
                digest.update(f"{one.relative_to(path)}\0{one.stat().st_size}\0".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def commit() -> str | None:
    """The commit of the project's own checkout, "+" behind it if files differ; else None.

    An installed package inside somebody else's repository must not take that one's commit.
    """
    root = Path(sharedcli.__file__).resolve().parents[1]
    if not ((root / ".git").exists() and (root / "pyproject.toml").exists()):
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--", "sharedcli") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
