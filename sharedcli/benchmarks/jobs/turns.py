"""Time all methods in turn over all contexts, and measure the ceiling in the same process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sharedcli.benchmarks.jobs.answer import refusal
from sharedcli.benchmarks.methods.contract import Bench
from sharedcli.benchmarks.methods.registry import make_method
from sharedcli.benchmarks.opening import describe, open_bench
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import make_sample, source_text
from sharedcli.benchmarks.timing import time_in_turn
from sharedcli.measuring.ceiling import measured_ceiling


def time_methods(plan: Plan, tell: Tell, *, contexts: dict[str, list[str]]) -> dict[str, Any]:
    """Time the methods of each context; ``contexts`` are their names by number of tokens."""
    bench = open_bench(plan)
    ceiling = measured_ceiling(bench.device, bench.model.base.dtype)
    return {
        "contexts": [_context(plan, bench, tell, int(c), names) for c, names in contexts.items()],
        "ceiling": {"flops": ceiling.flops, "bytes": ceiling.bytes},
        "run": describe("latency", plan, bench.model),
    }


def _context(
    plan: Plan, bench: Bench, tell: Tell, context: int, names: Sequence[str]
) -> dict[str, Any]:
    sample = make_sample(bench.model.base.tokenizer, source_text(plan.text), context)
    prompt = len(sample.prompt)
    methods = {name: make_method(name, bench) for name in names}
    refused = {
        name: reason
        for name, method in methods.items()
        if (reason := refusal(method, context, prompt + plan.answer_tokens))
    }
    fit = {name: method for name, method in methods.items() if name not in refused}

    def told(done: int, total: int, name: str) -> None:
        tell(done, total, f"{name}, {context:,} tokens")

    timings, failed = time_in_turn(fit, sample, plan.answer_tokens, plan.runs, told)
    return {
        "context": context,
        "prompt_tokens": prompt,
        "timings": [timing.to_plain() for timing in timings],
        "refused": {**refused, **failed},
        "caveats": {name: method.caveat for name, method in methods.items()},
        "work": {
            name: [vars(part) for part in method.work(context, prompt, plan.answer_tokens)]
            for name, method in fit.items()
        },
    }
