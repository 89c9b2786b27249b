"""How a sample's context is cut and what of it is injected: the random geometry of training.

One adapter is to serve many ratios and every frontier that a search can return, so each batch draws
a ratio and a way to choose frontiers. Both are drawn for the batch, not for the sample: equal slot
counts need no padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from sharedcli.training.recipe import Draw
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import fixed_path
from sharedcli.tree.geometry import TreeGeometry
from sharedcli.tree.jitter import JitteredTree

Frontier = tuple[Node, ...]
Span = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """A context's tree and one frontier for each chunk that is injected."""

    tree: ContextTree
    frontiers: tuple[Frontier, ...]


def level_geometry(plan: TreeGeometry, ratio: float, level: int) -> TreeGeometry:
    """A geometry whose deepest level is ``level``, or as near as slots allow, at ``ratio``."""
    while level > 1 and (plan.chunk_tokens >> level) < ratio:
        level -= 1
    slots = max(1, int((plan.chunk_tokens >> level) / ratio))
    return replace(plan, depth=level, slots_per_node=slots, stored_depth=0)


def draw_cuts(
    rng: Random,
    lengths: Sequence[int],
    *,
    plan: TreeGeometry,
    ratio: float,
    draw: Draw,
    evidence: Sequence[Sequence[Span]] = (),
) -> list[Cut]:
    """Cut contexts of ``lengths`` tokens; ``evidence`` holds each one's answer spans."""
    kinds = ("level", "right", "path", "partition", "evidence")
    kind = rng.choices(kinds, [getattr(draw, name) for name in kinds])[0]
    if kind == "level":
        geometry = level_geometry(plan, ratio, rng.randint(1, plan.depth))
    else:
        geometry = plan.at_ratio(ratio)
    seed = rng.getrandbits(32)
    dropped = rng.random() if rng.random() < draw.drop_chunks else 0.0
    cuts: list[Cut] = []
    for index, length in enumerate(lengths):
        spans = evidence[index] if evidence else ()
        tree = JitteredTree(length, geometry, draw.split_jitter, seed)
        chunks = _kept(rng, tree, dropped, spans)
        cuts.append(Cut(tree, tuple(_frontier(rng, tree, c, kind, spans) for c in chunks)))
    return cuts


def fixed_cut(length: int, plan: TreeGeometry, ratio: float) -> Cut:
    """The cut that measuring uses: the path that always goes right, at ``ratio``."""
    tree = ContextTree(length, plan.at_ratio(ratio))
    return Cut(tree, tuple(fixed_path(tree, chunk) for chunk in range(tree.chunks)))


def _kept(rng: Random, tree: ContextTree, dropped: float, spans: Sequence[Span]) -> list[int]:
    """Chunks to inject: at most half are dropped, never one that holds an answer."""
    chunks = list(range(tree.chunks))
    size = tree.geometry.chunk_tokens
    needed = {c for a, b in spans for c in range(a // size, (b - 1) // size + 1)}
    loose = [chunk for chunk in chunks if chunk not in needed]
    gone = set(rng.sample(loose, min(len(loose), int(dropped * len(chunks) / 2))))
    return [chunk for chunk in chunks if chunk not in gone]


def _frontier(
    rng: Random, tree: ContextTree, chunk: int, kind: str, spans: Sequence[Span]
) -> Frontier:
    if kind == "level":
        return tree.level(chunk, tree.geometry.depth)
    if kind == "right":
        return fixed_path(tree, chunk)
    kept: list[Node] = []
    waiting = [tree.root(chunk)]
    while waiting:
        node = waiting.pop()
        children = tree.children(node)
        if not children or (kind == "partition" and node.level and rng.random() < 0.5):
            kept.append(node)
        elif kind == "partition" or len(children) == 1:
            waiting += children
        else:
            opened = _opened(rng, children, spans if kind == "evidence" else ())
            kept.append(children[1 - opened])
            waiting.append(children[opened])
    return tuple(sorted(kept, key=lambda node: node.start))


def _opened(rng: Random, halves: Sequence[Node], spans: Sequence[Span]) -> int:
    """The half to open: the one with an answer in it, any where there is none or both have."""
    held = [any(a < half.end and b > half.start for a, b in spans) for half in halves]
    return rng.randrange(2) if held[0] == held[1] else held.index(True)
