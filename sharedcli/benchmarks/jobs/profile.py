"""Where the time of indexing goes: matrix products, attention, and everything else."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from sharedcli.benchmarks.jobs.index import run, warm, write_document
from sharedcli.benchmarks.opening import BenchEngine, open_bench
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import make_sample, source_text

MATRIX = ("::mm", "::addmm", "::bmm", "::baddbmm", "::linear", "linear_pointwise", "mkldnn_linear")
ATTENTION = ("scaled_dot_product", "flash_attention", "efficient_attention")


def index_profile(plan: Plan, _tell: Tell, *, context: int) -> dict[str, Any]:
    """Index a document under torch's profiler; return seconds by kind of operation, and shares.

    Seconds are those of the operations themselves, on the GPU where there is one; the rest of the
    wall clock (Python, tokenizer, SQLite, files, passages) is ``other``.
    """
    bench = open_bench(plan)
    sample = make_sample(bench.model.base.tokenizer, source_text(plan.text), context)
    file = write_document(plan, sample)
    warm(bench, sample)
    on_gpu = bench.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with BenchEngine(plan, bench.model) as engine:
        engine.encoder()
        begin = time.perf_counter()
        with profile(activities=kinds) as found:
            run(engine, file, lambda _done, _total: None)
            if on_gpu:
                torch.cuda.synchronize(bench.device)
            wall = time.perf_counter() - begin
    shares = split(
        wall,
        {
            event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
            for event in found.key_averages()
            if event.device_type == DeviceType.CPU  # operations, not the kernels they start
        },
    )
    return {"context": context, **shares}


def split(wall: float, operations: dict[str, float]) -> dict[str, Any]:
    """Sum seconds of operations, by name, into kinds; what is left of the wall clock is other."""
    seconds: dict[str, float] = defaultdict(float)
    for name, spent in operations.items():
        seconds[_kind(name)] += spent
    parts = {kind: seconds[kind] for kind in ("matrix", "attention", "other operations")}
    parts["other"] = max(0.0, wall - sum(parts.values()))
    shares = {kind: spent / wall for kind, spent in parts.items()}
    return {"wall_seconds": wall, "seconds": parts, "shares": shares}


def _kind(name: str) -> str:
    if any(part in name for part in ATTENTION):
        return "attention"
    return "matrix" if any(part in name for part in MATRIX) else "other operations"
