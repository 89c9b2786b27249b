"""Do slots go where the evidence is? Frontiers under a budget, and single descents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sharedcli.evaluation.methods.contract import Context, Workbench
from sharedcli.evaluation.methods.sharedllm import relevance
from sharedcli.model.relevance import query_summary, search_frontiers
from sharedcli.retrieve.rank import RankedPassage
from sharedcli.retrieve.search import ChunkFrontier, budgeted_frontiers, leaf_relevance
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import search_path

Span = tuple[int, int]


def frontier_scores(
    context: Context, ranked: Sequence[RankedPassage], evidence: Sequence[Span], bench: Workbench
) -> dict[str, float]:
    """Score the product's choice of nodes against the best possible one.

    Args:
        context: the document.
        ranked: passages, best first.
        evidence: character spans.
        bench: for geometry and budget.

    Returns:
        ``opened``: share of the evidence's tokens whose chunk is opened. ``descent``: the detail
        (1 - ratio / root ratio) that they are kept with, divided by what a choice that knows the
        evidence reaches with the same budget.
    """
    tree = ContextTree(len(context.tokens), bench.model.geometry(bench.settings))
    name, budget = context.document.source, bench.settings.budget
    tokens = [token_span(context, span) for span in evidence]
    found = budgeted_frontiers({name: tree}, relevance(context, tree, ranked), budget)
    ideal: dict[tuple[str, int], list[float]] = {}
    for chunk in range(tree.chunks):
        leaves = tree.level(chunk, tree.geometry.depth)
        marks = [max((_shared(leaf, span) for span in tokens), default=0.0) for leaf in leaves]
        if any(marks):
            ideal[name, chunk] = marks
    best = _kept(tree, budgeted_frontiers({name: tree}, ideal, budget), tokens)
    opened, detail = _kept(tree, found, tokens)
    return {
        "opened": round(opened, 6),
        "descent": round(detail / best[1], 6) if best[1] else 0.0,
    }


def _shared(leaf: Node, span: Span) -> float:
    shared = min(leaf.end, span[1]) - max(leaf.start, span[0])
    return max(0, shared) / min(leaf.tokens, span[1] - span[0])


def _kept(
    tree: ContextTree, frontiers: Sequence[ChunkFrontier], evidence: Sequence[Span]
) -> tuple[float, float]:
    """Share of the evidence's tokens that are opened, and their mean detail."""
    total = sum(end - start for start, end in evidence)
    opened = detail = 0.0
    for frontier in frontiers:
        for node in frontier.nodes:
            ratio = node.tokens / tree.slots(node) / tree.geometry.ratio(0)
            for start, end in evidence:
                shared = max(0, min(node.end, end) - max(node.start, start))
                opened += shared
                detail += shared * max(0.0, 1 - ratio)
    return opened / total, detail / total


def token_span(context: Context, span: Span) -> Span:
    """Tokens that share a character with ``span``; at least one."""
    spans = context.encoded[1]
    first = int(np.searchsorted(spans[:, 1], span[0], side="right"))
    last = int(np.searchsorted(spans[:, 0], span[1], side="left"))
    first = min(first, len(spans) - 1)
    return first, max(last, first + 1)


def path_score(
    context: Context,
    question: str,
    answer: Span,
    ranked: Sequence[RankedPassage] | None,
    bench: Workbench,
) -> float | None:
    """Descend the chunk that holds the answer: 1 if a finest node of the path holds it.

    Args:
        context: the document.
        question: the query.
        answer: character span of the answer.
        ranked: passages whose scores decide; None for the paper's first-layer vectors.
        bench: model and geometry.

    Returns:
        None if no single finest node holds the answer, or the chunk is not full.
    """
    geometry = bench.model.geometry(bench.settings)
    tree = ContextTree(len(context.tokens), geometry)
    first, last = token_span(context, answer)
    chunk = first // geometry.chunk_tokens
    if tree.root(chunk).tokens < geometry.chunk_tokens:
        return None
    holders = [
        leaf
        for leaf in tree.level(chunk, geometry.depth)
        if leaf.start <= first and last <= leaf.end
    ]
    if not holders:
        return None
    if ranked is None:
        path = _first_layer_path(context, question, tree, chunk, bench)
    else:
        path = _passage_path(context, tree, chunk, ranked)
    finest = [node for node in path if node.level == geometry.depth]
    leaf = holders[0]
    return float(leaf in finest)


def _first_layer_path(
    context: Context, question: str, tree: ContextTree, chunk: int, bench: Workbench
) -> tuple[Node, ...]:
    model = bench.model
    root = tree.root(chunk)
    alone = ContextTree(root.tokens, tree.geometry)
    query = query_summary(model.shared, bench.plain(question))
    tokens: torch.Tensor = context.tokens[root.start : root.end]
    path = search_frontiers(model.compressor, [tokens], [alone], [query])[0][0]
    moved = root.start
    return tuple(
        Node(chunk, node.level, node.index, node.start + moved, node.end + moved) for node in path
    )


def _passage_path(
    context: Context, tree: ContextTree, chunk: int, ranked: Sequence[RankedPassage]
) -> tuple[Node, ...]:
    scored = [(hit.passage.start, hit.passage.end, hit.score) for hit in ranked]
    spans = context.encoded[1]
    leaves = tree.level(chunk, tree.geometry.depth)
    places = [(int(spans[leaf.start][0]), int(spans[leaf.end - 1][1])) for leaf in leaves]
    values = dict(zip(leaves, leaf_relevance(places, scored), strict=True))

    def score(node: Node) -> float:
        inside = [v for leaf, v in values.items() if node.start <= leaf.start < node.end]
        return max(inside)

    return search_path(tree, chunk, score)
