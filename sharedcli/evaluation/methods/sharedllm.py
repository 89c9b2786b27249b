"""SharedLLM: the document as slots in the lowest layers, alone or beside verbatim passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sharedcli.answer.verdict import Verdict
from sharedcli.baselines.streams import CachedStream
from sharedcli.engine.opening import CHUNK_PASSAGES, unquoted
from sharedcli.evaluation.methods.contract import Context, Method, Opened, UnfitError
from sharedcli.evaluation.methods.passages import excerpts, last_words, verbatim_tokens
from sharedcli.evaluation.methods.slots import Taken, shuffled
from sharedcli.model.devices import guard_memory
from sharedcli.model.injected import InjectedKV
from sharedcli.model.node_slots import Frontier, assemble
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.rank import RankedPassage, scored_windows
from sharedcli.retrieve.search import budgeted_frontiers, leaf_relevance
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import fixed_path, nearest, search_path

UNTRAINED = "the adapter is not trained: figures say nothing about the method"


def document_tree(context: Context, method: Method) -> ContextTree:
    """The tree of a context in the geometry of model and settings, at the variant's ratio."""
    geometry = method.bench.model.geometry(method.bench.settings)
    if method.variant.ratio is not None and not method.variant.near:
        geometry = geometry.at_ratio(method.variant.ratio)
    return ContextTree(len(context.tokens), geometry)


def relevance(
    context: Context, tree: ContextTree, ranked: Sequence[RankedPassage]
) -> dict[tuple[str, int], list[float]]:
    """Carry passage scores over to the deepest nodes of each chunk that they touch."""
    spans = context.encoded[1]
    name = context.document.source
    text = context.document.text
    scored = [window for hit in ranked[:CHUNK_PASSAGES] for window in scored_windows(hit, text)]
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


@dataclass(frozen=True)
class _Injection:
    """What is injected, and what to record of it."""

    slots: InjectedKV | None
    tokens: int
    saved: float
    detail: dict[str, Any]

    @property
    def count(self) -> int:
        return 0 if self.slots is None else self.slots.slots


class SharedLLMAlone(Method):
    """Injection alone: nothing of the document is in the window."""

    name = "sharedllm"
    about = "the document as slots in the lowest layers, nothing verbatim"
    takes = frozenset({"budget", "ratio", "near", "layers", "shuffled", "other", "oracle"})
    passages = False

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        if not self.bench.model.trained:
            return UNTRAINED
        if self.variant.control:
            return "a control: " + (
                "the chunks in another order" if self.variant.shuffled else "another document"
            )
        return "the descent is told where the needle lies" if self.variant.oracle else ""

    def prepare(self, context: Context, *, asked: bool) -> None:
        """As ``Method.prepare``."""
        if asked or self.passages or self.variant.budget is not None:
            _ = context.index

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``: all chunks, fine at their ends (the paper's policy).

        With a budget, what retrieval finds relevant to the last words instead; with ``near``, the
        whole text at level 1 and the rest of the ratio's slots where the running text begins.
        """
        made = self._inject(context, None if self.variant.budget is None else last_words(context))
        prefix = context.tokens[:0]
        if self.passages:
            source = [context.document.source]
            query = last_words(context)
            ranked = find_passages(context.index, query, source, self.bench.encoder).ranked
            room = self.bench.window - len(running)
            wanted = ranked[: self.bench.settings.passages]
            prefix = verbatim_tokens(context, wanted, room)
        return self._opened(made, prefix, made.detail)

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``: what retrieval finds relevant, within ``--budget`` slots.

        With a ratio, one search path of every chunk instead (the paper's policy).
        """
        if self.variant.near:
            raise UnfitError("near is for running text; a question has none")
        bench, name = self.bench, context.document.source
        ranked = find_passages(context.index, question, [name], bench.encoder).ranked
        quoted = bench.settings.passages if self.passages else 0
        opened = unquoted(ranked, bench.settings) if quoted else ranked
        made = self._inject(context, question, opened)
        verbatim = ranked[:quoted]
        limit = bench.room(max_tokens)
        quotes = excerpts(context, verbatim)
        prompt, used = bench.prompt(question, quotes, limit)
        shown = tuple(quote.text for quote in quotes[:used])
        return self._opened(made, prompt, {"passages": used, **made.detail}, shown)

    def _opened(
        self, made: _Injection, prompt: Tensor, detail: dict[str, Any], shown: tuple[str, ...] = ()
    ) -> Opened:
        model = self.bench.model.shared
        stream = CachedStream(model, made.slots, "decoder")
        verdict = Verdict(self.bench.tokenizer, True) if model.config.abstains else None
        return Opened(stream, prompt, made.count, made.tokens, detail, made.saved, verdict, shown)

    def _injects(self) -> bool:
        return True

    def _inject(
        self, context: Context, query: str | None, ranked: Sequence[RankedPassage] | None = None
    ) -> _Injection:
        """Compress what is to be injected; ``query`` None takes every chunk's fixed path."""
        if not self._injects():
            return _Injection(None, 0, 0.0, {"chunks": 0})
        source = context
        if self.variant.other:
            if context.other is None:
                raise UnfitError("there is no other document as long as this one")
            source, ranked = context.other, None
        tree = document_tree(source, self)
        if query is None and self.variant.ratio is None:
            tree = ContextTree(tree.tokens, tree.geometry.stored)
        if query is None and self.variant.near:
            frontiers = self._nearest(tree)
        elif query is None:
            frontiers = [fixed_path(tree, chunk) for chunk in range(tree.chunks)]
        else:
            if ranked is None:
                names = [source.document.source]
                ranked = find_passages(source.index, query, names, self.bench.encoder).ranked
            frontiers = self._chosen(source, tree, ranked)
        frontiers = [frontier for frontier in frontiers if frontier]
        detail: dict[str, Any] = {"chunks": len(frontiers)}
        if source.evidence is not None:
            detail |= _reached(frontiers, source.evidence, tree)
        tokens = sum(node.tokens for frontier in frontiers for node in frontier)
        if not frontiers:
            return _Injection(None, 0, 0.0, detail)
        with guard_memory("compressing"):
            taken = source.slots(self.bench).take(tree, frontiers, whole=query is not None)
            slots = self._prepared(taken)
        detail["compress_seconds"] = round(taken.cost, 4)
        return _Injection(slots, tokens, taken.cost - taken.spent, detail)

    def _nearest(self, tree: ContextTree) -> list[Frontier]:
        assert self.variant.ratio is not None, "parse_variant sees to it"
        try:
            return nearest(tree, int(tree.tokens / self.variant.ratio))
        except ValueError as error:
            raise UnfitError(str(error)) from error

    def _chosen(
        self, context: Context, tree: ContextTree, ranked: Sequence[RankedPassage]
    ) -> list[Frontier]:
        name = context.document.source
        if self.variant.oracle:
            if context.evidence is None:
                raise UnfitError("only a needle's place is known")
            wanted = _evident(context.evidence, tree, name)
        else:
            wanted = relevance(context, tree, ranked)
        if self.variant.ratio is None:
            opened = budgeted_frontiers({name: tree}, wanted, self.bench.settings.budget)
            return [one.nodes for one in opened]
        return [_path(tree, chunk, wanted.get((name, chunk))) for chunk in range(tree.chunks)]

    @torch.inference_mode()
    def _prepared(self, taken: Taken) -> InjectedKV | None:
        chunks = taken.chunks
        if self.variant.shuffled:
            if len(chunks) < 2:
                raise UnfitError("one chunk has no other order")
            chunks = shuffled(chunks, self.bench.settings.seed)
        found = self.bench.model.shared.prepare(assemble(chunks))
        lowest = self.variant.layers
        if found is None or lowest is None:
            return found
        bias = None if found.bias is None else found.bias[:lowest]
        return replace(found, keys=found.keys[:lowest], values=found.values[:lowest], bias=bias)


def _path(tree: ContextTree, chunk: int, scores: Sequence[float] | None) -> Frontier:
    """One search path by passage scores; the fixed one where no passage touches the chunk."""
    if scores is None:
        return fixed_path(tree, chunk)
    leaves = list(zip(tree.level(chunk, tree.geometry.depth), scores, strict=True))

    def score(node: Node) -> float:
        return max(s for leaf, s in leaves if node.start <= leaf.start and leaf.end <= node.end)

    return search_path(tree, chunk, score)


def _evident(
    evidence: tuple[int, int], tree: ContextTree, name: str
) -> dict[tuple[str, int], list[float]]:
    """Relevance of what holds the evidence, and of nothing else."""
    first, last = evidence
    found = {}
    for chunk in range(tree.chunks):
        leaves = tree.level(chunk, tree.geometry.depth)
        marks = [float(leaf.start < last and leaf.end > first) for leaf in leaves]
        if any(marks):
            found[name, chunk] = marks
    return found


def _reached(
    frontiers: Sequence[Frontier], evidence: tuple[int, int], tree: ContextTree
) -> dict[str, float]:
    """Share of the evidence's tokens whose chunk is opened, and that are at the finest level."""
    first, last = evidence
    opened = finest = 0
    for frontier in frontiers:
        for node in frontier:
            shared = max(0, min(node.end, last) - max(node.start, first))
            opened += shared
            finest += shared * (node.level == tree.geometry.depth)
    return {"opened": opened / (last - first), "finest": finest / (last - first)}


class SharedLLMPassages(SharedLLMAlone):
    """The product's default: the best passages verbatim, the rest that is relevant as slots."""

    name = "sharedllm+passages"
    about = "the product's default: best passages verbatim, the rest as slots"
    passages = True

    @property
    def caveat(self) -> str:
        """As ``Method.caveat``."""
        if self.bench.model.trained:
            return super().caveat
        return "the adapter is not trained: what is measured is the passages alone"

    def _injects(self) -> bool:
        inject = self.bench.settings.inject
        return inject == "always" or (inject == "auto" and self.bench.model.trained)
