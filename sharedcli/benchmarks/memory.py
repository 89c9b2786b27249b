"""``bench memory``: peak memory of indexing and asking by context length, a process for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sharedcli.benchmarks.children import Jobs
from sharedcli.benchmarks.methods.registry import is_stored
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.result import Result, slope_per_100k
from sharedcli.benchmarks.summary import PEAKS
from sharedcli.benchmarks.workspace import with_store, workspace
from sharedcli.errors import OutOfMemoryError

INDEX, ASK = "index", "ask"
PRODUCT = (INDEX, ASK)


def memory(plan: Plan, methods: Sequence[str], contexts: Sequence[int], jobs: Jobs) -> Result:
    """Measure peaks of each method and length in a process of its own.

    Args:
        plan: how to measure.
        methods: ``index``, ``ask``, and those of ``bench latency``.
        contexts: tokens.
        jobs: does them.

    Raises:
        OutOfMemoryError: nothing of it fits, not even the base.
    """
    entries: list[dict[str, Any]] = []
    run: dict[str, Any] = {}
    with workspace() as folder:
        for context in contexts:
            found = _one_length(plan, methods, context, folder, jobs)
            for name in methods:
                run = found[name].pop("run", run)
                entries.append(_entry(name, context, found[name]))
    if not run:
        raise OutOfMemoryError(f"nothing could be measured: {entries[0]['skipped']}")
    slopes = {name: slope_per_100k(_points(entries, name)) for name in methods}
    more = {"slopes_mb_per_100k_tokens": slopes}
    return Result("memory", entries, {**run, "task": "memory"}, more)


def _one_length(
    plan: Plan, methods: Sequence[str], context: int, folder: Path, jobs: Jobs
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    store = folder / f"store-{context}"
    if any(_needs_store(name) for name in methods):
        jobs.say(f"indexing, {context:,} tokens")
        found[INDEX] = jobs.attempt("index", with_store(plan, store), context=context)
        plan = replace(plan, stores={**plan.stores, context: store})
    failed = found.get(INDEX, {}).get("refused")
    for name in methods:
        if name != INDEX and failed and _needs_store(name):
            found[name] = {"refused": f"indexing: {failed}"}
        elif name == ASK:
            jobs.say(f"{name}, {context:,} tokens")
            found[name] = jobs.attempt("ask", plan, context=context)
        elif name != INDEX:
            jobs.say(f"{name}, {context:,} tokens")
            found[name] = jobs.attempt("answer", plan, method=name, context=context)
    return found


def _needs_store(name: str) -> bool:
    return name in PRODUCT or is_stored(name)


def _entry(name: str, context: int, found: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"method": name, "context": context}
    entry |= {figure: found.get(figure) for figure in PEAKS}
    peak_bytes, base = entry["peak_bytes"], entry["base_bytes"]
    known = peak_bytes is not None and base is not None
    entry["beyond_base_bytes"] = peak_bytes - base if known else None
    estimate = entry["estimated_bytes"]
    entry["estimate_ratio"] = estimate / peak_bytes if estimate and peak_bytes else None
    entry["seconds"] = found.get("seconds")
    entry["slots"] = found.get("slots", 0)
    entry["skipped"] = found.get("refused") or None
    return entry


def _points(entries: Sequence[dict[str, Any]], name: str) -> list[tuple[int, int]]:
    return [
        (entry["context"], entry["beyond_base_bytes"])
        for entry in entries
        if entry["method"] == name and entry["beyond_base_bytes"] is not None
    ]
