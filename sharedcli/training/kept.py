"""Tensors kept on disk for batches that come again (a stage with a ``pool``).

What a teacher says of a batch, and what a frozen compressor makes of its contexts, never changes:
it is computed once, written as one safetensors file named by the batch's digest, and read from then
on. The first time returns what was written, not what was computed, so that all times are alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sharedcli.model.compressed import CompressedKV
from sharedcli.training.objective import Teacher

_INDEX = ("chunk", "local", "place", "chunks", "tokens")


class KeptTensors:
    """Named tensors in a folder."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder = folder
        self._device = device

    def teacher(self, name: str, make: Callable[[], Teacher]) -> Teacher:
        """A teacher's distributions; ids as int32, log-probabilities as float16."""
        if not name:
            return make()

        def tensors() -> dict[str, Tensor]:
            made = make()
            return {"ids": made.ids.int(), "log_probs": made.log_probs.half()}

        found = self._get(f"teacher-{name}", tensors)
        return Teacher(found["ids"].long(), found["log_probs"].float())

    def slots(self, name: str, make: Callable[[], CompressedKV | None]) -> CompressedKV | None:
        """A frozen compressor's slots, as it made them."""
        if not name:
            return make()

        def tensors() -> dict[str, Tensor]:
            made = make()
            if made is None:
                return {}
            table = {field: getattr(made, field) for field in ("keys", "values", *_INDEX)}
            return table if made.valid is None else {**table, "valid": made.valid}

        found = self._get(f"slots-{name}", tensors)
        if "keys" not in found:
            return None
        return CompressedKV(
            keys=found["keys"],
            values=found["values"],
            valid=found.get("valid"),
            **{field: found[field] for field in _INDEX},
        )

    def _get(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        path = self._folder / f"{name}.safetensors"
        try:
            found = load_file(path)
        except (OSError, SafetensorError):
            found = {k: v.detach().cpu().contiguous() for k, v in make().items()}
            self._folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            save_file(found, part)
            part.replace(path)
        return {k: v.to(self._device) for k, v in found.items()}
