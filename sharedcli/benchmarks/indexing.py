"""``bench index``: tokens per second end to end by length, whether that stays flat, and memory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from statistics import median
from typing import Any

from sharedcli.benchmarks.children import Jobs
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.result import Result, slope_per_100k
from sharedcli.benchmarks.summary import PEAKS
from sharedcli.benchmarks.workspace import with_store, workspace
from sharedcli.errors import OutOfMemoryError

PROFILED = 32_768
"""Tokens at most of the document that is indexed under the profiler."""


def indexing(plan: Plan, contexts: Sequence[int], jobs: Jobs) -> Result:
    """Index documents of each length, every length once a round, each in a process of its own.

    Args:
        plan: how to measure.
        contexts: tokens.
        jobs: does them.

    Raises:
        OutOfMemoryError: not even the shortest can be indexed.
    """
    found: dict[int, list[dict[str, Any]]] = {context: [] for context in contexts}
    refused: dict[int, str] = {}
    run: dict[str, Any] = {}
    with workspace() as folder:
        for turn in range(plan.runs):
            for context in contexts:
                if context in refused:
                    continue
                store = folder / f"store-{context}-{turn}"
                jobs.say(f"indexing, {context:,} tokens")
                one = jobs.attempt("index", with_store(plan, store), context=context)
                shutil.rmtree(store, ignore_errors=True)  # the next document needs the space
                if reason := one.get("refused"):
                    refused[context] = reason
                    continue
                run = one.pop("run")
                found[context].append(one)
        fit = [context for context in contexts if found[context]]
        if not fit:
            raise OutOfMemoryError(f"no length could be indexed: {refused[contexts[0]]}")
        size = min(max(fit), PROFILED)
        jobs.say("profiling")
        profile = jobs.run("profile", with_store(plan, folder / "profiled"), context=size)
    entries = [_entry(context, found[context], refused.get(context)) for context in contexts]
    return Result("index", entries, run, {**_flatness(entries), "profile": profile})


def _entry(context: int, runs: Sequence[dict[str, Any]], refused: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"method": "index", "context": context}
    if not runs:
        names = ("seconds", "cpu_seconds", "tokens_per_second", "bytes_per_token", *PEAKS)
        return {**entry, **dict.fromkeys(names), "spread": {}, "runs": 0, "skipped": refused}
    seconds = [run["seconds"] for run in runs]
    rates = [run["context_tokens"] / run["seconds"] for run in runs]
    entry |= {
        "context_tokens": runs[0]["context_tokens"],
        "seconds": median(seconds),
        "cpu_seconds": median(run["cpu_seconds"] for run in runs),
        "tokens_per_second": median(rates),
        "microseconds_per_token": 1e6 / median(rates),
        "bytes_per_token": runs[0]["stored_bytes"] / runs[0]["context_tokens"],
        "spread": {
            "seconds": [min(seconds), max(seconds)],
            "tokens_per_second": [min(rates), max(rates)],
        },
        "runs": len(runs),
        "skipped": None,
    }
    for name in PEAKS:
        held = [run[name] for run in runs if run.get(name) is not None]
        entry[name] = median(held) if held else None
    return entry


def _flatness(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Cost per token at the longest length over that at the shortest, and the slope of memory."""
    done = [entry for entry in entries if not entry["skipped"]]
    costs = [entry["microseconds_per_token"] for entry in done]
    points = [(e["context_tokens"], e["peak_bytes"]) for e in done if e["peak_bytes"] is not None]
    return {
        "cost_ratio_longest_to_shortest": costs[-1] / costs[0] if len(costs) > 1 else None,
        "slope_mb_per_100k_tokens": slope_per_100k(points),
    }
