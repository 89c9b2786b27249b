"""Put a training run together: recipe, data, model, loop.

A run lives in one folder:

    run.json          the recipe with every default, data, base, versions
    metrics.jsonl     a line per step and measurement
    checkpoints/      the two newest
    adapter/          the result, for --adapter

The same call on the same folder goes on from the newest checkpoint.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers

from sharedcli.errors import UsageError
from sharedcli.measuring.ceiling import peak_of
from sharedcli.training.curve import MISSING, can_draw
from sharedcli.training.kept import KeptTensors
from sharedcli.training.loop import Trainer
from sharedcli.training.observer import Observer
from sharedcli.training.parameters import make_optimizer
from sharedcli.training.prepare import Job, Prepared, prepare
from sharedcli.training.recipe_files import build_recipe, differences, to_plain
from sharedcli.training.sources import Source
from sharedcli.training.state import Progress, newest_checkpoint, restore

_MAY_CHANGE = ("name", "steps", "minutes", "save_", "evaluation.", "bad_steps")
"""Recipe keys that a resumed run may set anew: they change no step, or only how many there are."""


def train(job: Job, observer: Observer) -> Path:
    """Run ``job`` to its end and return the folder of the trained adapter.

    Of several processes the first alone tells ``observer`` and writes files.

    Raises:
        InterruptedTraining: stopped by a signal; the same call goes on.
        UsageError: the folder holds a run of another recipe, data or base.
        SharedCLIError: whatever else does not work.
    """
    prepared = prepare(job, observer)
    output, accelerator = job.output, prepared.accelerator
    if not accelerator.is_main_process:
        observer = Observer()  # one process speaks for all
    if job.fresh and accelerator.is_main_process and output.is_dir():
        for name in ("checkpoints", "adapter", "kept"):
            shutil.rmtree(output / name, ignore_errors=True)
    accelerator.wait_for_everyone()
    output.mkdir(parents=True, exist_ok=True)
    optimizer = make_optimizer(prepared.trained, job.recipe.stages[0].optimiser)
    identity = _identity(prepared)
    progress = _resume(prepared, identity, optimizer, observer)
    if accelerator.is_main_process:
        (output / "run.json").write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
    device = prepared.model.device
    trainer = Trainer(
        job.recipe,
        accelerator=accelerator,
        step=prepared.step,
        trained=prepared.trained,
        optimizer=optimizer,
        feeds=prepared.feeds,
        heldout=prepared.heldout,
        folder=output,
        kept=KeptTensors(output / "kept" / prepared.kept_name, device),
        cost=prepared.cost,
        peak=peak_of(device, prepared.dtype, accelerator.num_processes),
        identity=identity,
        progress=progress,
        observer=observer,
    )
    if not can_draw():
        observer.told(MISSING)
    trainer.run()
    if accelerator.is_main_process:
        trainer.adapter.save(output / "adapter")
        observer.finished(output / "adapter")
    return output / "adapter"


def _identity(prepared: Prepared) -> dict[str, Any]:
    return {
        "recipe": to_plain(prepared.job.recipe),
        "data": _by_name(prepared.sources),
        "holdout": list(prepared.job.holdout),
        "base": prepared.base.identity.to_dict(),
        "device": str(prepared.model.device),
        "processes": prepared.accelerator.num_processes,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "accelerate": accelerate.__version__,
        },
    }


def _by_name(sources: Sequence[Source]) -> dict[str, str]:
    """Digests by file name; files of one name in several folders are numbered."""
    found: dict[str, str] = {}
    for source in sources:
        same = sum(name.partition(" #")[0] == source.name for name in found)
        found[f"{source.name} #{same + 1}" if same else source.name] = source.digest
    return found


def _resume(
    prepared: Prepared,
    identity: dict[str, Any],
    optimizer: torch.optim.AdamW,
    observer: Observer,
) -> Progress:
    """Take up the newest checkpoint of the run's folder, if there is one."""
    job = prepared.job
    saved = newest_checkpoint(job.output / "checkpoints", observer.told)
    if saved is None:
        return Progress()
    changed = [
        key
        for key in differences(build_recipe(saved.identity["recipe"]), job.recipe)
        if not key.startswith(_MAY_CHANGE)
    ]
    changed += [
        key for key in ("data", "holdout", "processes") if saved.identity[key] != identity[key]
    ]
    if saved.identity["base"] != identity["base"]:
        changed.append("base model")
    if changed:
        raise UsageError(
            f"{job.output} holds a run with another {', '.join(changed)}; give another --output, "
            "or --fresh to begin again"
        )
    restore(saved, prepared.model.adapter, optimizer, prepared.trained)
    progress = saved.progress
    if progress.finished:
        # more steps or minutes than before: the last stage goes on
        progress.finished = False
    observer.told(f"going on from step {progress.steps} in {job.output}")
    return progress
