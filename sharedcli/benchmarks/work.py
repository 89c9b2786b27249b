"""What a stage must do at least, and what share of the machine's ceiling it reached.

Operations: 2 per parameter and token in matrices, 4 x width per pair of query and key in attention
(as in ``training/cost.py``). Bytes: every weight once per pass, cached keys and values once per
pass, and what is kept is written once. Activations stay in caches and are not counted, and neither
is what an implementation does on top: that is what a low share shows.

The ceiling is the roofline's (Williams et al., 2009): no stage can be faster than its operations at
the speed of a plain matrix product, or its bytes at the speed of a plain copy, whichever is slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharedcli.measuring.ceiling import Ceiling
from sharedcli.tree.context_tree import ContextTree, Node

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


def sequence_lengths(tree: ContextTree, nodes: Sequence[Node]) -> list[int]:
    """Tokens of the sequences that the compressor reads for ``nodes``: prefixes come for free."""
    longest: dict[int, int] = {}
    for node in nodes:
        start = tree.sequence_start(node)
        longest[start] = max(longest.get(start, 0), node.end - start)
    return list(longest.values())


def compress(
    counts: Parameters, value: int, tree: ContextTree, lengths: Sequence[int], layers: int
) -> Work:
    """Reading sequences with the lowest ``layers`` layers, in passes of 4,096 tokens.

    Args:
        counts: the base's.
        value: bytes of one value.
        tree: only its geometry counts; a nested tree is read chunk by chunk whatever is wanted.
        lengths: of the sequences; see ``sequence_lengths``.
        layers: how far they are read.
    """
    tokens = sum(lengths)
    share = layers / max(1, counts.injected)
    weights = counts.layer * layers + counts.compressor_update * share
    pairs = sum(length * (length + 1) / 2 for length in lengths)
    passes = -(-tokens // 4096)
    return Work(
        2 * tokens * weights + 4 * counts.hidden * layers * pairs,
        value * (passes * weights + counts.cached * layers * tokens),
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
