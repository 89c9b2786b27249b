"""Strips: neighbouring chunks in one sequence, read in one pass.

Alone, a chunk is read behind its lead, the tokens of the document before it. In a strip those
tokens are there already, as the end of the chunk before, so only the strip's first chunk needs a
lead of its own: with eight chunks, 1.06 tokens are read for one that is kept instead of 1.5. What a
token sees is its chunk so far, and as many tokens as a lead has, or half as many where that is
enough (``TreeGeometry.strip_lead``): 1.03 tokens for one. The first of these is
the strip's own first token, since a base puts surplus attention there (StreamingLLM, arXiv
2309.17453); without it slots lose up to a quarter of their worth (docs/reference/ablations.md).

Segments that see the states of the one before are Transformer-XL's (arXiv 1901.02860).

From the geometry's ``exit_layer`` on only what becomes a slot is computed, and the first token:
layers above take keys and values of the others by the adapter's shortcut, a linear map of the state
that they left with (after Din et al., arXiv 2303.09435), or else of that state as it is, as CALM
does after an early exit (arXiv 2207.07061). From the ``pruning_layer`` on they are not even seen
(as in FastV, arXiv 2403.06764, where tokens that get little attention go).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sharedcli.tree.context_tree import ContextTree


@dataclass(frozen=True)
class Strip:
    """Where chunks lie in a sequence.

    Attributes:
        starts: first token of each chunk; tokens before the first are its lead.
        tokens: of the whole sequence.
        lead_tokens: tokens before its chunk that a token sees.
        exit_layer: lowest layers that all tokens pass through; above them only those that are kept.
            0 for as many as are seen to the end.
        pruning_layer: lowest layers in which all tokens are seen; above them only those that are
            kept. 0 for all but the topmost, which gives the same.
    """

    starts: tuple[int, ...]
    tokens: int
    lead_tokens: int
    exit_layer: int = 0
    pruning_layer: int = 0

    @classmethod
    def of(cls, tree: ContextTree, chunks: Sequence[int]) -> Strip:
        """The strip of neighbouring ``chunks``, with the first one's lead."""
        roots = [tree.root(chunk) for chunk in chunks]
        start = tree.strip_start(chunks[0])
        starts = tuple(root.start - start for root in roots)
        geometry, tokens = tree.geometry, roots[-1].end - start
        if not geometry.leaves_out:
            return cls(starts, tokens, geometry.strip_lead)
        layers = geometry.exit_layer, geometry.pruning_layer
        return cls(starts, tokens, geometry.strip_lead, *layers)

    def views(self) -> list[tuple[int, int, int]]:
        """(first key, first query, end) of each chunk.

        Queries from the first to the end see token 0 and those from the first key to themselves.
        The first chunk's queries begin with its lead's.
        """
        ends = (*self.starts[1:], self.tokens)
        found = [(0, 0, ends[0])]
        for start, end in zip(self.starts[1:], ends[1:], strict=True):
            first = start - self.lead_tokens + 1
            found.append((first if first > 1 else 0, start, end))
        return found
