"""A teacher's distributions kept on disk, for batches that come again (a stage with a ``pool``).

One safetensors file per batch, named by the batch's digest; ids as int32 and log-probabilities as
float16, which is finer than what a teacher can know.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sharedcli.training.objective import Teacher


class TeacherFiles:
    """Distributions by name in a folder."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder = folder
        self._device = device
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], Teacher]) -> Teacher:
        """The distributions kept under ``name``, made now if there are none; "" is never kept."""
        if not name:
            return make()
        path = self._folder / f"{name}.safetensors"
        try:
            tensors = load_file(path)
            ids, kept = tensors["ids"], tensors["log_probs"]
        except (OSError, SafetensorError, KeyError):
            teacher = make()
            ids, kept = teacher.ids.to("cpu", torch.int32), teacher.log_probs.to("cpu", torch.half)
            part = path.with_suffix(f".{os.getpid()}.part")
            save_file({"ids": ids.contiguous(), "log_probs": kept.contiguous()}, part)
            part.replace(path)
        # read back or just made, the same rounded numbers: a resumed run repeats itself
        return Teacher(ids.to(self._device, torch.long), kept.to(self._device, torch.float32))
