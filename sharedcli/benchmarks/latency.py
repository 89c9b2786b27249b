"""``bench latency``: a whole question under each method, in turn, over several context lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sharedcli.benchmarks.children import Jobs
from sharedcli.benchmarks.methods.registry import is_stored
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.result import Result
from sharedcli.benchmarks.summary import context_entries
from sharedcli.benchmarks.workspace import with_store, workspace
from sharedcli.measuring.ceiling import Ceiling

PRODUCT = (
    "full and sharedllm answer through the product's decoder, streaming and encoder-decoder "
    "through the base's own forward pass; --decoder forward takes that one for all"
)

Found = dict[str, dict[str, Any]]


def latency(
    plan: Plan,
    methods: Sequence[str],
    contexts: Sequence[int],
    jobs: Jobs,
    *,
    baseline: str | None,
    memory: bool = True,
) -> Result:
    """Measure peak memory in a process per method and length, then time all methods in turn.

    Args:
        plan: how to measure.
        methods: as ``parse_methods`` lets them through.
        contexts: tokens.
        jobs: does them.
        baseline: the method that ratios are of, or None.
        memory: measure peaks; without, methods are only timed.
    """
    with workspace() as folder:
        found: dict[int, Found] = {}
        stored: dict[int, float] = {}
        for context in contexts:
            here: Found = {name: {} for name in methods}
            if any(map(is_stored, methods)):
                store = folder / f"store-{context}"
                jobs.say(f"indexing, {context:,} tokens")
                made = jobs.attempt("index", with_store(plan, store), context=context)
                stored[context] = made.get("seconds", 0.0)
                plan = replace(plan, stores={**plan.stores, context: store})
                if reason := made.get("refused"):
                    here |= {n: {"refused": f"indexing: {reason}"} for n in filter(is_stored, here)}
            for name in methods if memory else ():
                if not here[name]:
                    jobs.say(f"memory of {name}, {context:,} tokens")
                    here[name] = jobs.attempt("answer", plan, method=name, context=context)
            found[context] = here
        wanted = {
            str(context): [name for name in methods if not found[context][name].get("refused")]
            for context in contexts
        }
        timed = jobs.run("time", plan, contexts=wanted)
    ceiling = Ceiling(**timed["ceiling"])
    entries = []
    for part in timed["contexts"]:
        context = part["context"]
        for entry in context_entries(
            part,
            methods,
            found[context],
            baseline=baseline,
            answer_tokens=plan.answer_tokens,
            ceiling=ceiling,
        ):
            if is_stored(entry["method"]) and not entry["skipped"]:
                entry["index_seconds"] = stored[context]
            entries.append(entry)
    more = {"ceiling": timed["ceiling"], "baseline": baseline}
    notes = () if plan.forward_only else (PRODUCT,)
    return Result("latency", entries, timed["run"], more, notes)
