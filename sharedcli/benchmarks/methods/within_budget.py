"""SharedLLM as ``chat --passages 0`` uses it: passages are searched, the best chunks opened.

``sharedllm-indexed@N`` finds the document in a store on disk. ``sharedllm@N`` has seen nothing
before the clock starts: it indexes the document with ``--slot-format recompute --embed ask``, so
that passages are cut but none is embedded and no chunk is compressed; then it embeds the passages
that share words with the question, and compresses what it opens within N slots. As in ``chat``, the
compressor's layers are laid out when the model is loaded; ``ask`` lays out each when it is reached.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from pathlib import Path

import torch

from sharedcli.benchmarks.jobs.index import TEXT_BYTES, run
from sharedcli.benchmarks.methods.contract import (
    Answering,
    Bench,
    activation_bytes,
    compressing_bytes,
    opened_tokens,
)
from sharedcli.benchmarks.methods.sharedllm import SharedLLMMethod
from sharedcli.benchmarks.opening import BenchEngine
from sharedcli.benchmarks.sample import QUESTION, Sample
from sharedcli.benchmarks.work import Work
from sharedcli.engine.opening import open_frontiers
from sharedcli.engine.slots import read_context
from sharedcli.engine.unkept import unkept
from sharedcli.model.compressed import CompressedKV
from sharedcli.retrieve.find import find_passages
from sharedcli.store.store import Store


class WithinBudget(SharedLLMMethod):
    """What both have in common: the search for passages, and N slots at most."""

    def __init__(self, bench: Bench, budget: int) -> None:
        super().__init__(bench)
        self._budget = budget
        # loading the sentence encoder is not counted, as that of the base is not
        self._encoder = BenchEngine(bench.settings, bench.model).encoder()
        bench.model.lay_out()  # as chat does

    @torch.inference_mode()
    def read(self, sample: Sample) -> Answering:
        """As ``Method.read``."""
        return self._answering(self._found(sample))

    @abstractmethod
    def _found(self, sample: Sample) -> CompressedKV | None:
        """The slots that the question opens."""

    def _opened(self, store: Store) -> CompressedKV | None:
        (record,) = store.documents()
        found = find_passages(store, QUESTION, [record.id], self._encoder)
        frontiers, trees = open_frontiers(store, found.ranked, [record], self._budget)
        dtype, opener = self.bench.model.base.dtype, self.bench.model.opener
        return read_context(store, frontiers, trees, dtype, opener) if frontiers else None

    def _reading_bytes(self, tokens: int, running: int) -> int:
        opened = min(tokens, opened_tokens(self.bench, self._budget))
        return max(activation_bytes(self.bench, running), compressing_bytes(self.bench, opened))

    def _context_work(self, tokens: int) -> Work:
        return Work(0, 2 * self._slot_bytes(tokens))

    def _slots(self, tokens: int) -> int:
        return min(super()._slots(tokens), self._budget)


class IndexedWithinBudget(WithinBudget):
    """The document is in a store on disk."""

    name = "sharedllm-indexed"
    about = "SharedLLM on an indexed document: passages are searched, the best chunks opened"
    stored = True

    def _found(self, sample: Sample) -> CompressedKV | None:
        # opened here, so that opening it counts
        with Store.open(self.bench.stores[len(sample.tokens)]) as store:
            return self._opened(store)


class FreshWithinBudget(WithinBudget):
    """The document was never seen: search first, then compress what the search opens."""

    name = "sharedllm"
    about = "SharedLLM on a document that is not indexed: search it, compress what is opened"

    def _found(self, sample: Sample) -> CompressedKV | None:
        with tempfile.TemporaryDirectory(prefix="sharedcli-bench-") as name:
            settings = unkept(self.bench.settings, Path(name, "store"))
            file = Path(name, "document.txt")
            file.write_text(sample.text, encoding="utf-8")
            with BenchEngine(settings, self.bench.model, self._encoder) as engine:
                run(engine, file, lambda done, total: None)
                return self._opened(engine.store())

    def memory(self, tokens: int, running: int) -> int:
        """As ``Method.memory``."""
        return super().memory(tokens, running) + TEXT_BYTES * tokens
