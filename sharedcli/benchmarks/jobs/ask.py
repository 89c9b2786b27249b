"""Ask a store once, as ``sharedcli ask`` does, for its peak memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sharedcli.benchmarks.methods.contract import (
    Bench,
    activation_bytes,
    compressing_bytes,
    opened_tokens,
)
from sharedcli.benchmarks.opening import BenchEngine, Peak, describe, open_bench, touch
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import QUESTION

PASSAGE_TOKENS = 250
"""Of a verbatim passage, roughly."""


def ask(plan: Plan, _tell: Tell, *, context: int) -> dict[str, Any]:
    """Ask about the document of ``context`` tokens, with passages and slots in the prompt."""
    settings = replace(
        plan.settings,
        store=plan.stores[context],
        max_tokens=plan.answer_tokens,
        abstain="never",
        inject="always",
    )
    plan = replace(plan, settings=settings)
    bench = open_bench(plan)
    with BenchEngine(plan.settings, bench.model) as engine:
        engine.encoder()
        touch(bench.model)
        with Peak(bench.model) as peak:
            answer = engine.ask(QUESTION)
            for _ in answer:
                pass
    return {
        "refused": "",
        "slots": answer.usage.slots,
        "estimated_bytes": None if peak.base is None else peak.base + _estimate(bench),
        "run": describe("memory", plan, bench.model),
        **peak.to_plain(),
    }


def _estimate(bench: Bench) -> int:
    """Slots while they are placed, and what is larger: their making or the prompt's pass."""
    settings, counts = bench.settings, bench.counts
    prompt = settings.passages * PASSAGE_TOKENS + PASSAGE_TOKENS
    slots = 3 * settings.budget * counts.injected * counts.cached * bench.value
    cache = (prompt + settings.max_tokens) * counts.layers * counts.cached * bench.value
    making = compressing_bytes(bench, opened_tokens(bench, settings.budget))
    return slots + max(making, cache + activation_bytes(bench, prompt))
