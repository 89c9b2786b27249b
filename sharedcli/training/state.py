"""Checkpoints: everything that the next step depends on, written so that a crash never spoils it.

A checkpoint is a folder ``step-00001200`` that is an adapter folder too:

    adapter.json, adapter.safetensors   the adapter, float32
    optimizer.safetensors               moments and step of each parameter, states of generators
    state.json                          place in the run, and digests of the other files

It is written under another name, synchronised to disk, and then renamed: a folder of that name is
complete. The two newest are kept. There is no pickle in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sharedcli.errors import CorruptionError
from sharedcli.model.adapter import Adapter
from sharedcli.training.parameters import Trained

FORMAT = 1
KEPT = 2
_NAME = re.compile(r"step-(\d{8,})")
_FILES = ("adapter.json", "adapter.safetensors", "optimizer.safetensors")
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Progress:
    """Place in a run.

    Attributes:
        stage: index of the stage; ``stage_steps`` and ``stage_seconds`` are what it has used.
        steps, seconds, tokens: over all stages.
        bad_row, bad_steps: steps whose loss was no number: in a row until now, and in all.
        measured_at, saved_at: training seconds at the last measurement and checkpoint.
        measured_step: step of the last measurement; -1 for none.
        finished: True once all budgets are used.
    """

    stage: int = 0
    stage_steps: int = 0
    stage_seconds: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    tokens: int = 0
    bad_row: int = 0
    bad_steps: int = 0
    measured_at: float = 0.0
    measured_step: int = -1
    saved_at: float = 0.0
    finished: bool = False


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in ``folder``, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def save_checkpoint(
    folder: Path,
    progress: Progress,
    *,
    identity: dict[str, Any],
    adapter: Adapter,
    optimizer: torch.optim.Optimizer,
    trained: Trained,
) -> Path:
    """Write a checkpoint into ``folder`` and return its path. ``identity`` is what must agree."""
    final = folder / f"step-{progress.steps:08d}"
    part = folder / f".part-{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    adapter.save(part)
    save_file(optimizer_tensors(optimizer, trained), part / "optimizer.safetensors")
    state = {
        "format": FORMAT,
        "progress": asdict(progress),
        "identity": identity,
        "sha256": {name: _sha256(part / name) for name in _FILES},
    }
    (part / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    for path in part.iterdir():
        _synchronise(path)
    _synchronise(part)
    if final.exists():
        shutil.rmtree(final)
    part.rename(final)
    _synchronise(folder)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was found whole."""

    folder: Path
    progress: Progress
    identity: dict[str, Any]


def newest_checkpoint(folder: Path, tell: Callable[[str], None]) -> Saved | None:
    """The newest undamaged checkpoint in ``folder``; None if there is none at all.

    Raises:
        CorruptionError: there are some and all are damaged.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            if state["format"] != FORMAT:
                raise ValueError(f"its format is {state['format']}")
            for name, digest in state["sha256"].items():
                if _sha256(path / name) != digest:
                    raise ValueError(f"{name} is damaged")
            known = {f.name for f in fields(Progress)}
            progress = Progress(**{k: v for k, v in state["progress"].items() if k in known})
            return Saved(path, progress, dict(state["identity"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            tell(f"checkpoint {path} cannot be used ({error}); trying an older one")
    if found:
        raise CorruptionError(
            f"no checkpoint in {folder} can be read; delete the folder to begin again"
        )
    return None


def restore(
    saved: Saved, adapter: Adapter, optimizer: torch.optim.Optimizer, trained: Trained
) -> None:
    """Put adapter, optimiser and random generators into the checkpoint's state."""
    tensors = load_file(saved.folder / "adapter.safetensors")
    try:
        adapter.load_state_dict(tensors)
        load_optimizer(optimizer, trained, load_file(saved.folder / "optimizer.safetensors"))
    except (RuntimeError, KeyError, ValueError) as error:
        raise CorruptionError(
            f"checkpoint {saved.folder} does not fit this run ({str(error).splitlines()[0]}); "
            "give another --output"
        ) from error


def optimizer_tensors(optimizer: torch.optim.Optimizer, trained: Trained) -> dict[str, Tensor]:
    """The optimiser's state as named tensors, with the generators' states."""
    tensors: dict[str, Tensor] = {"generator/cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        tensors["generator/cuda"] = torch.cuda.get_rng_state()
    for name, parameter in trained.by_name.items():
        for moment, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{moment}/{name}"] = value.detach().to("cpu", copy=True).contiguous()
    return tensors


def load_optimizer(
    optimizer: torch.optim.Optimizer, trained: Trained, tensors: dict[str, Tensor]
) -> None:
    """Undo ``optimizer_tensors``."""
    torch.set_rng_state(tensors["generator/cpu"])
    if "generator/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["generator/cuda"])
    for name, parameter in trained.by_name.items():
        if f"step/{name}" not in tensors:
            continue
        state = optimizer.state[parameter]
        for moment in _MOMENTS:
            value = tensors[f"{moment}/{name}"]
            # torch keeps the step count on the CPU unless the optimiser is fused
            state[moment] = value if moment == "step" else value.to(parameter.device)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
