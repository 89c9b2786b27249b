"""From single runs to one entry per method and context: medians, spread, ratios, rooflines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from sharedcli.benchmarks.work import STAGES, Work, roofline
from sharedcli.measuring.ceiling import Ceiling

Run = Mapping[str, Any]

FIGURES: dict[str, Callable[[Run, int], float]] = {
    "seconds": lambda run, _answer: run["context"] + run["prompt"] + run["answer"],
    "ttft_seconds": lambda run, _answer: run["context"] + run["prompt"],
    "tokens_per_second": lambda run, answer: (answer - 1) / run["answer"],
    "cpu_seconds": lambda run, _answer: run["cpu"],
}
"""What is told of a run: the whole question, the time to its first token, decoding, CPU time."""

PEAKS = ("peak_bytes", "base_bytes", "peak_rss_bytes", "estimated_bytes")


def figures(runs: Sequence[Run], answer_tokens: int) -> dict[str, Any]:
    """Medians of all figures, and ``spread``: smallest and largest. Null where nothing was run."""
    values = {
        name: [figure(run, answer_tokens) for run in runs]
        for name, figure in FIGURES.items()
        if name != "tokens_per_second" or answer_tokens > 1
    }
    plain: dict[str, Any] = dict.fromkeys(FIGURES)
    plain |= {name: median(found) for name, found in values.items() if found}
    spread = {name: [min(found), max(found)] for name, found in values.items() if found}
    return {**plain, "spread": spread, "runs": len(runs)}


def ratios(
    runs: Sequence[Run], baseline: Sequence[Run], answer_tokens: int
) -> dict[str, Any] | None:
    """How many times faster than the baseline, round by round: medians, and the seconds' spread.

    Each round compares runs that were made right after each other, so that drift cancels.
    """
    by_round = {run["round"]: run for run in baseline}
    pairs = [(run, by_round[run["round"]]) for run in runs if run["round"] in by_round]
    if not pairs:
        return None
    found: dict[str, Any] = {}
    for name in ("seconds", "ttft_seconds"):
        figure = FIGURES[name]
        times = [figure(base, answer_tokens) / figure(run, answer_tokens) for run, base in pairs]
        found[name] = median(times)
        found.setdefault("spread", [min(times), max(times)])
    if answer_tokens > 1:
        figure = FIGURES["tokens_per_second"]
        found["tokens_per_second"] = median(
            figure(run, answer_tokens) / figure(base, answer_tokens) for run, base in pairs
        )
    return found


def rooflines(
    runs: Sequence[Run], work: Sequence[Mapping[str, float]], ceiling: Ceiling
) -> list[dict[str, Any]]:
    """One line per stage, at its median time; a stage without work has none."""
    lines = []
    for stage, parts in zip(STAGES, work, strict=True):
        done = Work(**parts)
        seconds = median(run[stage] for run in runs)
        if done.flops or done.bytes:
            lines.append({"stage": stage, **roofline(done, seconds, ceiling)})
    return lines


def context_entries(
    found: Mapping[str, Any],
    names: Sequence[str],
    memory: Mapping[str, Mapping[str, Any]],
    *,
    baseline: str | None,
    answer_tokens: int,
    ceiling: Ceiling,
) -> list[dict[str, Any]]:
    """Entries of all methods at one context length, in the order that they were named.

    Args:
        found: what the job ``time`` found at this length.
        names: all methods, also those that were refused.
        memory: what the job ``answer`` found of each method; ``refused`` counts.
        baseline: whose times the ratios are of, or None.
        answer_tokens: that were decoded.
        ceiling: of this run.
    """
    runs = {name: [r for r in found["timings"] if r["method"] == name] for name in names}
    entries = []
    for name in names:
        own, held = runs[name], memory.get(name, {})
        reason = held.get("refused") or found["refused"].get(name) or None
        entry: dict[str, Any] = {"method": name, "context": found["context"]}
        entry |= figures(own, answer_tokens)
        entry |= {peak: held.get(peak) for peak in PEAKS}
        entry["slots"] = own[0]["slots"] if own else 0
        entry["ratio"] = (
            ratios(own, runs.get(baseline, []), answer_tokens) if baseline and own else None
        )
        entry["stages"] = rooflines(own, found["work"][name], ceiling) if own else []
        entry["skipped"] = reason
        entry["caveat"] = found["caveats"].get(name, "")
        entries.append(entry)
    return entries
