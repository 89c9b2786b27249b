"""Where the time of indexing goes: matrix products, attention, and everything else."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile

from sharedcli.benchmarks.jobs.index import run, warm, write_document
from sharedcli.benchmarks.opening import BenchEngine, open_bench
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import make_sample, source_text

MATRIX = (
    *("::mm", "::addmm", "::bmm", "::baddbmm", "::linear"),
    *("linear_pointwise", "mkldnn_linear"),  # qlinear_pointwise as well
)
ATTENTION = (
    *("scaled_dot_product", "flash_attention", "efficient_attention"),
    *("::_softmax", "::exp2_"),
)
_BUSY = 0.05
"""Share of the wall clock that a thread computes at least to count as one of the workers."""

Operation = tuple[int, str, float]
"""Thread, name, and seconds of its own."""


def index_profile(plan: Plan, _tell: Tell, *, context: int) -> dict[str, Any]:
    """Index a document under torch's profiler; return seconds by kind of operation, and shares.

    Seconds are those of the operations themselves, on the GPU where there is one. What is left of
    the wall clock (Python, tokenizer, SQLite, files) is ``other``; where several threads compute
    side by side, each has a wall clock.
    """
    bench = open_bench(plan)
    sample = make_sample(bench.model.base.tokenizer, source_text(plan.text), context)
    file = write_document(plan, sample)
    warm(bench, sample)
    on_gpu = bench.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with BenchEngine(plan.settings, bench.model) as engine:
        engine.encoder()
        begin = time.perf_counter()
        with profile(activities=kinds, experimental_config=_all_threads()) as found:
            run(engine, file, lambda _done, _total: None)
            if on_gpu:
                torch.cuda.synchronize(bench.device)
            wall = time.perf_counter() - begin
    operations = [
        (
            0 if on_gpu else event.thread,
            event.name,
            (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6,
        )
        for event in found.events()
        if event.device_type == DeviceType.CPU  # operations, not the kernels they start
    ]
    return {"context": context, **split(wall, operations)}


def split(wall: float, operations: Iterable[Operation]) -> dict[str, Any]:
    """Sum seconds of operations into kinds; what is left of the workers' time is other."""
    seconds: dict[str, float] = defaultdict(float)
    threads: dict[int, float] = defaultdict(float)
    for thread, name, spent in operations:
        seconds[_kind(name)] += spent
        threads[thread] += spent
    workers = max(1, sum(spent > _BUSY * wall for spent in threads.values()))
    parts = {kind: seconds[kind] for kind in ("matrix", "attention", "other operations")}
    parts["other"] = max(0.0, wall * workers - sum(parts.values()))
    shares = {kind: spent / (wall * workers) for kind, spent in parts.items()}
    return {"wall_seconds": wall, "workers": workers, "seconds": parts, "shares": shares}


def _all_threads() -> _ExperimentalConfig | None:
    try:
        return _ExperimentalConfig(profile_all_threads=True)
    except TypeError:  # an older torch sees the calling thread only
        return None


def _kind(name: str) -> str:
    if any(part in name for part in ATTENTION):
        return "attention"
    return "matrix" if any(part in name for part in MATRIX) else "other operations"
