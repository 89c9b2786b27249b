"""Answer once with one method over one context, for its peak memory."""

from __future__ import annotations

from typing import Any

from sharedcli.benchmarks.methods.contract import Method
from sharedcli.benchmarks.methods.registry import make_method
from sharedcli.benchmarks.opening import Peak, describe, open_bench, touch
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import make_sample, source_text
from sharedcli.benchmarks.timing import run_once
from sharedcli.measuring.memory import available_bytes
from sharedcli.model.devices import guard_memory

HEADROOM = 0.9
"""Share of the free memory that an estimate may take."""


def answer(plan: Plan, _tell: Tell, *, method: str, context: int) -> dict[str, Any]:
    """Answer once, if the method takes the context and the estimate fits the memory.

    Returns:
        ``refused`` says why not, or is ""; the figures of ``Peak`` and ``estimated_bytes``.
    """
    bench = open_bench(plan)
    way = make_method(method, bench)
    sample = make_sample(bench.model.base.tokenizer, source_text(plan.text), context)
    running = len(sample.prompt) + plan.answer_tokens
    refused = refusal(way, context, running)
    found: dict[str, Any] = {"refused": refused, "run": describe("memory", plan, bench.model)}
    if refused:
        return found
    touch(bench.model)
    with Peak(bench.model) as peak, guard_memory(f"answering with {method}"):
        timing = run_once(way, method, sample, plan.answer_tokens)
    needed = way.memory(context, running)
    return {
        **found,
        **peak.to_plain(),
        "slots": timing.slots,
        "estimated_bytes": None if peak.base is None else peak.base + needed,
    }


def refusal(method: Method, context: int, running: int) -> str:
    """Why a context is not given to a method: its window, or the memory that it would take."""
    free = available_bytes(method.bench.device)
    return method.refuses(context, running) or too_large(method.memory(context, running), free)


def too_large(needed: int, available: int | None) -> str:
    """Why an estimate does not fit the free memory; "" if it does or nothing is known."""
    if available is None or needed <= HEADROOM * available:
        return ""
    return (
        f"about {needed / 1e9:.1f} GB are needed beyond the base, and "
        f"{available / 1e9:.1f} GB are free"
    )
