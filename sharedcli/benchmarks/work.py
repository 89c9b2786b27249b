"""What a stage must do at least, and what share of the machine's ceiling it reached.

Operations: 2 per parameter and token in matrices, 4 x width per pair of query and key in attention
(as in ``training/cost.py``). Bytes: every weight once per pass, cached keys and values once per
pass, and what is kept is written once. Activations stay in caches and are not counted, and neither
is what an implementation does on top: that is what a low share shows.

The ceiling is the roofline's (Williams et al., 2009): no stage can be faster than its operations at
the speed of a plain matrix product, or its bytes at the speed of a plain copy, whichever is slower.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharedcli.measuring.ceiling import Ceiling
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.strips import Strip

if TYPE_CHECKING:
    from sharedcli.measuring.parameters import Parameters

STAGES = ("context", "prompt", "answer")


@dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes moved."""

    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes)


@dataclass(frozen=True)
class Read:
    """How a base reads running text.

    Attributes:
        counts: the base's.
        value: bytes of one value.
        slots: injected slots that each of M layers also reads.
        read_everywhere: keys that a cross-attention of every layer also reads.
        more: parameters beyond the base's that a token meets.
    """

    counts: Parameters
    value: int
    slots: int = 0
    read_everywhere: int = 0
    more: int = 0

    def forward(self, tokens: int, seen: int) -> Work:
        """One pass over ``tokens`` after ``seen``; logits of the last one."""
        p = self.counts
        pairs = p.layers * (tokens * seen + tokens * (tokens + 1) / 2)
        pairs += tokens * (p.injected * self.slots + p.layers * self.read_everywhere)
        weights = p.layer * p.layers + self.more
        kept = p.layers * (seen + tokens + self.read_everywhere) + p.injected * self.slots
        return Work(
            2 * tokens * weights + 2 * p.head + 4 * p.hidden * pairs,
            self.value * (weights + p.head + p.cached * kept),
        )

    def decode(self, answer: int, seen: int) -> Work:
        """The passes for all tokens of an answer but the first, one token each."""
        return total(self.forward(1, seen + done) for done in range(answer - 1))


def total(parts: Iterable[Work]) -> Work:
    """The sum."""
    return sum(parts, Work())


@dataclass(frozen=True)
class ReadSequence:
    """What the compressor reads at once.

    Attributes:
        tokens: in all.
        pairs: of a token and one that it sees.
        kept: tokens that all layers compute.
        exit_layer: lowest layers that compute the others, too; None for all.
        pruning_layer: lowest layers that see them; None for all.
    """

    tokens: int
    pairs: int
    kept: int = 0
    exit_layer: int | None = None
    pruning_layer: int | None = None

    def below(self, layers: int) -> tuple[float, float, float]:
        """Tokens computed, tokens that are only seen, and pairs, in ``layers`` layers together.

        Where tokens are left out, pairs are taken to be fewer by their share, or by its square.
        """
        seeing = layers if self.pruning_layer is None else min(layers, self.pruning_layer)
        whole = seeing if self.exit_layer is None else min(seeing, self.exit_layer)
        share = self.kept / max(1, self.tokens)
        between, above = seeing - whole, layers - seeing
        return (
            self.tokens * whole + self.kept * (between + above),
            (self.tokens - self.kept) * between,
            self.pairs * (whole + between * share + above * share**2),
        )


def node_sequences(tree: ContextTree, nodes: Iterable[Node]) -> list[ReadSequence]:
    """What is read for ``nodes`` one by one: prefixes come for free."""
    longest: dict[int, int] = {}
    for node in nodes:
        start = tree.sequence_start(node)
        longest[start] = max(longest.get(start, 0), node.end - start)
    return [ReadSequence(length, _causal(length)) for length in longest.values()]


def strip_sequences(tree: ContextTree) -> list[ReadSequence]:
    """What is read for all chunks, strip by strip."""
    found = []
    for chunks in tree.strips(range(tree.chunks)):
        strip = Strip.of(tree, chunks)
        pairs = sum(
            (end - begin) * (begin - first + bool(first)) + _causal(end - begin)
            for first, begin, end in strip.views()
        )
        stored = [tree.level(chunk, tree.geometry.deepest_stored) for chunk in chunks]
        kept = sum(tree.slots(node) for nodes in stored for node in nodes)
        ends = strip.exit_layer or None, strip.pruning_layer or None
        found.append(ReadSequence(strip.tokens, pairs, kept, *ends))
    return found


def _causal(tokens: int) -> int:
    return tokens * (tokens + 1) // 2


def compress(counts: Parameters, value: int, read: Iterable[ReadSequence], layers: int) -> Work:
    """Reading sequences with the lowest ``layers`` layers, in passes of 4,096 tokens.

    Args:
        counts: the base's.
        value: bytes of one value.
        read: the sequences.
        layers: how far they are read.
    """
    sequences = list(read)
    tokens = sum(one.tokens for one in sequences)
    through = [one.below(layers) for one in sequences] or [(0, 0, 0)]
    computed, seen, pairs = map(sum, zip(*through, strict=True))
    layer = counts.layer + counts.compressor_update / max(1, counts.injected)
    passes = -(-tokens // 4096)
    return Work(
        2 * (layer * computed + counts.hidden * counts.cached * seen) + 4 * counts.hidden * pairs,
        value * (passes * layer * layers + counts.cached * layers * tokens),
    )


def roofline(work: Work, seconds: float, ceiling: Ceiling) -> dict[str, Any]:
    """The stage's line: what it did, how fast, and its share of the nearer ceiling."""
    by_flops, by_bytes = work.flops / ceiling.flops, work.bytes / ceiling.bytes
    return {
        "seconds": seconds,
        "flops": work.flops,
        "bytes": work.bytes,
        "bound": "compute" if by_flops >= by_bytes else "memory",
        "share": max(by_flops, by_bytes) / seconds if seconds > 0 else 0.0,
    }
