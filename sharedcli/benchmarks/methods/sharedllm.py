"""SharedLLM: every chunk of the context as slots in the lowest layers, nothing of it in the window.

``sharedllm`` has seen nothing before the clock starts: it compresses all chunks as ``index`` does,
searches them with the paper's split-and-search (arXiv 2410.19318, section 3.2) and injects what
that chooses; with per-node levels it searches first, as the paper does, and compresses what it
chose.
``sharedllm-indexed`` finds the document in a store on disk: it searches with the stored vectors,
reads the chosen nodes' slots and injects them.
With ``@N`` both do what ``ask --passages 0`` does instead: they search passages and open the best
chunks within N slots (``within_budget.py``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from sharedcli.benchmarks.methods.contract import (
    Answering,
    Method,
    activation_bytes,
    compressing_bytes,
    decode,
    indexing_bytes,
)
from sharedcli.benchmarks.sample import Sample
from sharedcli.benchmarks.work import (
    Read,
    ReadSequence,
    Work,
    compress,
    node_sequences,
    strip_sequences,
)
from sharedcli.engine.compressing import batches
from sharedcli.engine.opening import stored_tree
from sharedcli.engine.slots import node_slots, read_context
from sharedcli.engine.threads import WorkerThreads, worker_count
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.node_slots import Frontier, assemble
from sharedcli.model.relevance import node_scorer, query_summary, search_frontiers
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.store.identity import RECOMPUTE
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path, search_path

COPIES = 6
"""Of all slots at the peak: of nodes, of chunks, joined, as a batch, and rotated; and one that was
freed between them."""


def paths(
    tree: ContextTree, summaries: Iterable[Tensor], query: Tensor
) -> Iterator[tuple[int, Frontier, tuple[float, ...]]]:
    """The paper's search through every chunk, by its nodes' vectors: (chunk, nodes, scores)."""
    for chunk, vectors in enumerate(summaries):
        score = node_scorer(dict(zip(tree.nodes(chunk), vectors, strict=True)), query)
        nodes = search_path(tree, chunk, score)
        yield chunk, nodes, tuple(map(score, nodes))


class SharedLLMMethod(Method):
    """What both have in common: the slots of one path through every chunk."""

    def refuses(self, tokens: int, running: int) -> str:
        """As ``Method.refuses``: positions of slots and running text must lie in the window."""
        base, config = self.bench.model.base, self.bench.model.shared.config
        tree, mode = self._tree(tokens), config.key_position_mode
        start = {
            "chunk_only": tree.chunks,
            "slot_order": min(self._slots(tokens), self.bench.model.shared.slot_room),
            "document": tokens,
        }.get(mode, tree.geometry.chunk_tokens + tree.chunks)
        start = start if config.form == "joint" else 0
        if start + running <= base.window:
            return ""
        return f"{start + running:,} positions exceed the model's window of {base.window:,}"

    def work(self, tokens: int, prompt: int, answer: int) -> tuple[Work, Work, Work]:
        """As ``Method.work``."""
        counts = self.bench.counts
        more = counts.decoder_update + counts.cross
        read = Read(counts, self.bench.value, slots=self._slots(tokens), more=more)
        return self._context_work(tokens), read.forward(prompt, 0), read.decode(answer, prompt)

    def memory(self, tokens: int, running: int) -> int:
        """As ``Method.memory``."""
        return COPIES * self._slot_bytes(tokens) + self._reading_bytes(tokens, running)

    @abstractmethod
    def _context_work(self, tokens: int) -> Work:
        """Of the stage before the prompt."""

    def _reading_bytes(self, tokens: int, running: int) -> int:
        return activation_bytes(self.bench, running)

    def _answering(self, slots: CompressedKV | None) -> Answering:
        shared = self.bench.model.shared
        injected = shared.prepare(slots)
        self.slots = injected.slots if injected else 0
        return decode(self.bench, shared, injected, torch.empty(0, dtype=torch.long))

    def _tree(self, tokens: int) -> ContextTree:
        """The stored levels: what is below them only questions open, within a budget."""
        return ContextTree(tokens, self.bench.model.geometry(self.bench.settings).stored)

    def _slots(self, tokens: int) -> int:
        tree = self._tree(tokens)
        last = fixed_path(tree, tree.chunks - 1)
        return tree.geometry.path_slots * (tree.chunks - 1) + sum(map(tree.slots, last))

    def _slot_bytes(self, tokens: int) -> int:
        counts = self.bench.counts
        return self._slots(tokens) * counts.injected * counts.cached * self.bench.value


class SharedLLMFresh(SharedLLMMethod):
    """The document was never seen: search, compress, inject, answer."""

    name = "sharedllm"
    about = "SharedLLM on a document that is not indexed: compress everything, then answer"

    @torch.inference_mode()
    def read(self, sample: Sample) -> Answering:
        """As ``Method.read``."""
        model = self.bench.model
        tree = self._tree(len(sample.tokens))
        query = query_summary(model.shared, sample.question)
        if tree.geometry.levels == "nested":
            return self._answering(self._whole(sample, tree, query))
        contexts = [sample.tokens]
        frontiers = search_frontiers(model.indexer, contexts, [tree], [query])
        slots = model.indexer.compress_frontiers(contexts, [tree], frontiers)
        return self._answering(slots)

    @property
    def _in_parallel(self) -> bool:
        return self.bench.device.type == "cpu" and self.bench.model.merges

    def _whole(self, sample: Sample, tree: ContextTree, query: torch.Tensor) -> CompressedKV:
        model, stored = self.bench.model, tree.geometry.depth
        with WorkerThreads(self._in_parallel) as threads:
            tree = tree.shared_among(threads.count)
            compress = partial(model.indexer.compress_stored, sample.tokens, tree)
            made = threads.ordered(partial(compress, chunks) for chunks in batches(tree))
            chunks = [chunk for several in made for chunk in several]
        summaries = [chunk.summaries for chunk in chunks]
        return assemble(
            [
                [node_slots(tree, node, *chunks[chunk].levels[stored]) for node in nodes]
                for chunk, nodes, _ in paths(tree, summaries, query)
            ]
        )

    def _context_work(self, tokens: int) -> Work:
        tree, counts, value = self._tree(tokens), self.bench.counts, self.bench.value
        moved = Work(0, 2 * self._slot_bytes(tokens))
        if tree.geometry.levels == "nested":
            shared = tree.shared_among(worker_count(self._in_parallel))
            return moved + compress(counts, value, strip_sequences(shared), counts.injected)
        layers = self.bench.model.shared.config.summary_layer
        searched = compress(counts, value, self._sequences(tree, False), layers)
        chosen = compress(counts, value, self._sequences(tree, True), counts.injected)
        return moved + searched + chosen

    def _sequences(self, tree: ContextTree, path: bool) -> list[ReadSequence]:
        """What is read for one path through each chunk, or for all nodes."""
        found: list[ReadSequence] = []
        for chunk in range(tree.chunks):
            nodes = fixed_path(tree, chunk) if path else list(tree.nodes(chunk))
            found += node_sequences(tree, nodes)
        return found

    def _reading_bytes(self, tokens: int, running: int) -> int:
        counts, bench = self.bench.counts, self.bench
        if self._tree(1).geometry.levels == "nested":
            return indexing_bytes(bench, tokens)
        at_once = min(tokens, bench.model.indexer.batch_tokens)
        vectors = tokens / self._tree(1).geometry.chunk_tokens * counts.width * bench.value
        nodes = 2 ** (self._tree(1).geometry.depth + 1) - 2
        return int(compressing_bytes(bench, at_once) + 2 * nodes * vectors)


class SharedLLMIndexed(SharedLLMMethod):
    """The document is in a store on disk: search, read slots, inject, answer."""

    name = "sharedllm-indexed"
    about = "SharedLLM on an indexed document: slots are read from a store on disk"
    stored = True

    def refuses(self, tokens: int, running: int) -> str:
        """As ``Method.refuses``: what is read must have been stored."""
        if self.bench.settings.slot_format == RECOMPUTE:
            return f"{RECOMPUTE} stores no slots and no vectors to search; use {self.name}@256"
        return super().refuses(tokens, running)

    @torch.inference_mode()
    def read(self, sample: Sample) -> Answering:
        """As ``Method.read``; the store is opened here, so that opening it counts."""
        with Store.open(self.bench.stores[len(sample.tokens)]) as store:
            (record,) = store.documents()
            trees = {record.id: stored_tree(store, record)}
            frontiers = self._paths(store, record, sample)
            slots = read_context(store, frontiers, trees, self.bench.model.base.dtype)
        return self._answering(slots)

    def _paths(
        self, store: Store, record: DocumentRecord, sample: Sample
    ) -> Sequence[ChunkFrontier]:
        """The paper's search over the stored vectors of all chunks."""
        tree = self._tree(record.tokens)
        query = query_summary(self.bench.model.shared, sample.question)
        summaries = store.read_summaries(record.id)
        return [ChunkFrontier(record.id, *path) for path in paths(tree, summaries, query)]

    def _context_work(self, tokens: int) -> Work:
        return Work(0, 2 * self._slot_bytes(tokens))
