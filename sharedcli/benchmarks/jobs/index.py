"""Index one document end to end: read, tokenise, passages, vectors, compress, store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sharedcli.benchmarks.clock import Clock
from sharedcli.benchmarks.methods.contract import Bench, indexing_bytes
from sharedcli.benchmarks.opening import BenchEngine, Peak, describe, open_bench
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import Sample, make_sample, source_text
from sharedcli.engine.threads import worker_count
from sharedcli.errors import SharedCLIError
from sharedcli.store.records import DocumentRecord
from sharedcli.tree.context_tree import ContextTree

TEXT_BYTES = 100
"""Of memory per token for text, spans, passages and their vectors, roughly."""

THREAD_BYTES = 64 << 20
"""Of memory per thread for the sentence encoder's passes and what is on its way to the disk."""


def index(plan: Plan, tell: Tell, *, context: int) -> dict[str, Any]:
    """Index a document of ``context`` tokens into a new store in the plan's folder; it stays.

    The model and the sentence encoder are loaded before the clock starts.
    """
    bench = open_bench(plan)
    model = bench.model
    sample = make_sample(model.base.tokenizer, source_text(plan.text), context)
    file = write_document(plan, sample)
    warm(bench, sample)
    del sample
    clock = Clock(model.base.device)
    with BenchEngine(plan.settings, model) as engine:
        engine.encoder()
        with Peak(model) as peak:
            clock.mark()
            record = run(engine, file, lambda done, total: tell(done, total, "indexing"))
            clock.mark()
    (seconds,) = clock.seconds()
    return {
        "context_tokens": record.tokens,
        "seconds": seconds,
        "cpu_seconds": clock.cpu,
        "stored_bytes": record.stored_bytes,
        "estimated_bytes": None if peak.base is None else peak.base + _estimate(bench, context),
        "run": describe("index", plan, model),
        **peak.to_plain(),
    }


def write_document(plan: Plan, sample: Sample) -> Path:
    """Write the sample's text beside the plan's store."""
    file = plan.settings.store.with_suffix(".txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sample.text, encoding="utf-8")
    return file


def warm(bench: Bench, sample: Sample) -> None:
    """Compress one chunk, so that nothing is set up while the clock runs."""
    tree = ContextTree(len(sample.tokens), bench.model.geometry(bench.settings))
    bench.model.indexer.compress_stored(sample.tokens, tree, [0])


def run(engine: BenchEngine, file: Path, told: Callable[[int, int], None]) -> DocumentRecord:
    """Index one file into the engine's store.

    Raises:
        SharedCLIError: it cannot be indexed; the message is the engine's.
    """
    record = None
    for event in engine.index([str(file)]):
        if event.kind == "failed":
            raise SharedCLIError(event.reason)
        if event.kind == "compressing" and event.total:
            told(event.done, event.total)
        record = event.record or record
    assert record is not None
    return record


def _estimate(bench: Bench, context: int) -> int:
    """A pass of the compressor in every thread with what it keeps, and the document's text."""
    threads = THREAD_BYTES * worker_count(parallel=bench.model.merges)
    return indexing_bytes(bench, context) + threads + TEXT_BYTES * context
