"""Open what a job measures: the model (real or of random weights), and an engine that holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sharedcli.benchmarks.methods.contract import Bench
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.published import is_random
from sharedcli.benchmarks.random_base import load_random
from sharedcli.engine.engine import Engine
from sharedcli.engine.loading import LoadedModel, load_model
from sharedcli.measuring.memory import (
    available_bytes,
    device_bytes,
    peak_device_bytes,
    peak_resident_bytes,
    reset_peak,
    resident_bytes,
)
from sharedcli.measuring.run_info import run_info, setup
from sharedcli.retrieve.embedding import SentenceEncoder
from sharedcli.settings import Settings


class BenchEngine(Engine):
    """An engine whose model, and sentence encoder if there is one, are given."""

    def __init__(
        self, settings: Settings, model: LoadedModel, encoder: SentenceEncoder | None = None
    ) -> None:
        super().__init__(settings)
        if encoder is not None:
            self._encoder, self._encoder_tried = encoder, True
        self._given = model

    def __enter__(self) -> BenchEngine:
        return self

    def model(self) -> LoadedModel:
        """Return the given model."""
        return self._given


def open_model(plan: Plan) -> LoadedModel:
    """Load the base and the adapter that the settings name."""
    if is_random(plan.settings.model):
        return load_random(plan.settings)
    return load_model(plan.settings)


def open_bench(plan: Plan) -> Bench:
    """Load the model and put it on the workbench."""
    return Bench(
        open_model(plan),
        plan.settings,
        plan.stream_window,
        plan.stream_block,
        plan.forward_only,
        dict(plan.stores),
    )


@torch.inference_mode()
def touch(model: LoadedModel) -> None:
    """Run a few tokens through all layers: weights become resident with their first use."""
    model.shared(torch.arange(8)[None].to(model.base.device))


def describe(task: str, plan: Plan, model: LoadedModel) -> dict[str, Any]:
    """The ``run`` object of a result."""
    files = [Path(plan.text)] if plan.text else []
    more = {
        "answer_tokens": plan.answer_tokens,
        "runs": plan.runs,
        "stream_window": plan.stream_window,
        "stream_block": plan.stream_block,
        "decoder": "forward" if plan.forward_only else "product",
        "slot_format": plan.settings.slot_format,
    }
    found = run_info(setup(task, plan.settings, model, files, **more), model)
    return {**found, "date": found["finished"]}


class Peak:
    """Peak memory of what happens inside a ``with`` block, in bytes; None where it is not told.

    Attributes:
        base: held before, on the device that counts.
        peak: the most that was held, on the device that counts: a GPU's tensors, else this
            process's resident memory.
        resident: the most resident memory of this process.
        available: what was free before.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._device = model.base.device
        self.base: int | None = None
        self.peak: int | None = None
        self.resident: int | None = None
        self.available: int | None = None

    def __enter__(self) -> Peak:
        reset_peak(self._device)
        on_device = device_bytes(self._device)
        self.base = resident_bytes() if on_device is None else on_device
        self.available = available_bytes(self._device)
        return self

    def __exit__(self, *_error: object) -> None:
        self.resident = peak_resident_bytes()
        on_device = peak_device_bytes(self._device)
        peak = self.resident if on_device is None else on_device
        # the system's counters of now and of the peak may differ by a few pages
        self.peak = peak if peak is None or self.base is None else max(peak, self.base)

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "peak_bytes": self.peak,
            "base_bytes": self.base,
            "peak_rss_bytes": self.resident,
            "available_bytes": self.available,
        }
