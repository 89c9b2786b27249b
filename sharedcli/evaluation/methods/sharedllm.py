"""SharedLLM: the document as slots in the lowest layers, alone or beside verbatim passages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sharedcli.baselines.streams import CachedStream
from sharedcli.engine.opening import CHUNK_PASSAGES
from sharedcli.evaluation.methods.contract import Context, Method, Opened
from sharedcli.evaluation.methods.passages import excerpts, last_words, verbatim_tokens
from sharedcli.model.compressor import Frontier
from sharedcli.model.devices import guard_memory
from sharedcli.model.injected import InjectedKV
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.rank import RankedPassage
from sharedcli.retrieve.search import ChunkFrontier, budgeted_frontiers, leaf_relevance
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path

UNTRAINED = "the adapter is not trained: figures say nothing about the method"


def document_tree(context: Context, method: Method) -> ContextTree:
    """The tree of a context in the geometry of model and settings."""
    bench = method.bench
    return ContextTree(len(context.tokens), bench.model.geometry(bench.settings))


def relevance(
    context: Context, tree: ContextTree, ranked: Sequence[RankedPassage]
) -> dict[tuple[str, int], list[float]]:
    """Carry passage scores over to the deepest nodes of each chunk that they touch."""
    spans = context.encoded[1]
    name = context.document.source
    scored = [(h.passage.start, h.passage.end, h.score) for h in ranked[:CHUNK_PASSAGES]]
    found = {}
    for chunk in range(tree.chunks):
        leaves = [
            (int(spans[leaf.start][0]), int(spans[leaf.end - 1][1]))
            for leaf in tree.level(chunk, tree.geometry.depth)
        ]
        near = [one for one in scored if one[0] < leaves[-1][1] and one[1] > leaves[0][0]]
        if near:
            found[name, chunk] = leaf_relevance(leaves, near)
    return found


class SharedLLMAlone(Method):
    """Injection alone: nothing of the document is in the window."""

    name = "sharedllm"
    about = "the document as slots in the lowest layers, nothing verbatim"
    passages = False

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        return "" if self.bench.model.trained else UNTRAINED

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``: all chunks, fine at their ends (the paper's policy)."""
        tree = document_tree(context, self)
        frontiers = [fixed_path(tree, chunk) for chunk in range(tree.chunks)]
        injected = self._injected(context, tree, frontiers)
        prefix = context.tokens[:0]
        if self.passages:
            source = [context.document.source]
            query = last_words(context)
            ranked = find_passages(context.index, query, source, self.bench.encoder)
            room = self.bench.window - len(running)
            wanted = ranked[: self.bench.settings.passages]
            prefix = verbatim_tokens(context, wanted, room)
        stream = CachedStream(self.bench.model.shared, injected, "decoder")
        slots = injected.slots if injected else 0
        return Opened(stream, prefix, slots, len(context.tokens))

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``: what retrieval finds relevant, within ``--budget`` slots."""
        bench, name = self.bench, context.document.source
        ranked = find_passages(context.index, question, [name], bench.encoder)
        opened: list[ChunkFrontier] = []
        if self._injects():
            tree = document_tree(context, self)
            wanted = relevance(context, tree, ranked)
            opened = budgeted_frontiers({name: tree}, wanted, bench.settings.budget)
            injected = self._injected(context, tree, [one.nodes for one in opened])
        else:
            injected = None
        verbatim = ranked[: bench.settings.passages] if self.passages else []
        limit = bench.room(max_tokens)
        prompt, used = bench.prompt(question, excerpts(context, verbatim), limit)
        return Opened(
            CachedStream(bench.model.shared, injected, "decoder"),
            prompt,
            injected.slots if injected else 0,
            sum(node.tokens for one in opened for node in one.nodes),
            {"passages": used, "chunks": len(opened)},
        )

    def _injects(self) -> bool:
        return True

    @torch.inference_mode()
    def _injected(
        self, context: Context, tree: ContextTree, frontiers: Sequence[Frontier]
    ) -> InjectedKV | None:
        if not any(frontiers):
            return None
        with guard_memory("compressing"):
            model = self.bench.model
            slots = model.compressor.compress_frontiers([context.tokens], [tree], [frontiers])
            return model.shared.prepare(slots)


class SharedLLMPassages(SharedLLMAlone):
    """The product's default: the best passages verbatim, the rest that is relevant as slots."""

    name = "sharedllm+passages"
    about = "the product's default: best passages verbatim, the rest as slots"
    passages = True

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        if self.bench.model.trained:
            return ""
        return "the adapter is not trained: what is measured is the passages alone"

    def _injects(self) -> bool:
        inject = self.bench.settings.inject
        return inject == "always" or (inject == "auto" and self.bench.model.trained)
