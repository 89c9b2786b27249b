"""How a document is cut: chunk size, depth, slots per node.

The reference geometry (SharedLLM, arXiv 2410.19318, section 3.2 and appendix A.1): chunks of 1,024
tokens, depth 3, 32 slots per kept node. A path through the tree keeps ``depth + 1`` nodes, so 128
slots stand for 1,024 tokens: overall ratio 8.

Ratios are tokens per slot everywhere: 8 means eight tokens for one slot.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from sharedcli.errors import UsageError

Levels = Literal["nested", "per_node"]
SlotChoice = Literal["first", "last", "mean", "pooled"]

COARSE = 8
"""Tokens per slot from which on slots are worth the same behind half a lead, and pruned."""


@dataclass(frozen=True)
class TreeGeometry:
    """Sizes of a context tree.

    Attributes:
        chunk_tokens: tokens per chunk (the root of one binary tree).
        depth: levels below the root that are kept (level 1 is the coarsest).
        slots_per_node: slots that a full node keeps, at every level.
        levels: "per_node" encodes every node on its own, as the paper does; "nested" encodes the
            chunk once and takes coarser levels as strided subsets of the finest.
        slot_choice: which position of a slot's window is kept: its "first" token (the paper), its
            "last" (which has read the whole window), the "mean" over the window, or "pooled", a
            mean whose weights are learned.
        lead_tokens: tokens of the document before a node's sequence that the compressor reads
            along, so that slots know what went before; they get no slots there (not in the paper).
        stored_depth: the deepest level that is stored; what a question opens below it is made anew
            from the tokens. 0 stores all levels.
        strip_chunks: chunks that are read in one pass at most when a document is indexed. All but
            the first find their lead in the pass: its first token, and the ones before the chunk.
        exit_layer: lowest layers that all tokens of a document or an opened chunk go through;
            those that become no slots then end. 0 for all layers.
        pruning_layer: lowest layers in which tokens that become no slots are seen; 0 for all. What
            a base bears of either has to be measured with it.
    """

    chunk_tokens: int = 1024
    depth: int = 3
    slots_per_node: int = 32
    levels: Levels = "per_node"
    slot_choice: SlotChoice = "first"
    lead_tokens: int = 0
    stored_depth: int = 0
    strip_chunks: int = 1
    exit_layer: int = 0
    pruning_layer: int = 0

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise UsageError(f"tree depth must be at least 1, not {self.depth}")
        if self.slots_per_node < 1:
            raise UsageError(f"slots per node must be at least 1, not {self.slots_per_node}")
        if self.lead_tokens < 0:
            raise UsageError(f"lead tokens must be 0 or more, not {self.lead_tokens}")
        if not 0 <= self.stored_depth <= self.depth:
            raise UsageError(
                f"levels are stored down to {self.stored_depth}, but the tree has levels 1 to "
                f"{self.depth}; use one of them, or 0 for all"
            )
        if self.strip_chunks < 1:
            raise UsageError(f"a strip has 1 chunk or more, not {self.strip_chunks}")
        if self.strip_chunks > 1 and (self.levels == "per_node" or not self.lead_tokens):
            raise UsageError(
                f"strips of {self.strip_chunks} chunks need nested levels and a lead; use "
                "--levels nested and --lead-tokens, or --strip-chunks 1"
            )
        if self.exit_layer < 0 or self.pruning_layer < 0:
            raise UsageError(
                "exit and pruning layer must be 0 or more, not "
                f"{min(self.exit_layer, self.pruning_layer)}"
            )
        if 0 < self.pruning_layer < self.exit_layer:
            raise UsageError(
                f"tokens that {self.pruning_layer} layers see need not pass through "
                f"{self.exit_layer}; use --exit-layer {self.pruning_layer} or less"
            )
        if (self.exit_layer or self.pruning_layer) and not self.slots_are_tokens:
            raise UsageError(
                "an exit or pruning layer needs nested levels and slots that are tokens; use "
                "--levels nested and --slot-choice first or last, or 0 for both layers"
            )
        if self.chunk_tokens < (smallest := self.slots_per_node << self.depth):
            raise UsageError(
                f"chunks of {self.chunk_tokens} tokens are too small for depth {self.depth} with "
                f"{self.slots_per_node} slots per node; use at least {smallest} tokens per chunk"
            )

    def node_tokens(self, level: int) -> int:
        """Tokens of a full node at ``level`` (0 is the chunk itself)."""
        return self.chunk_tokens >> level

    def ratio(self, level: int) -> float:
        """Tokens per slot of a full node at ``level``."""
        return self.node_tokens(level) / self.slots_per_node

    @property
    def read_tokens(self) -> int:
        """Tokens that the compressor reads for a full chunk: the chunk and its lead."""
        return self.lead_tokens + self.chunk_tokens

    @property
    def strip_lead(self) -> int:
        """Tokens before its chunk that a token of a strip sees.

        Half of a lead where what is stored is coarse: see docs/reference/ablations.md.
        """
        if self.strip_chunks > 1 and self.stored.overall_ratio >= COARSE:
            return (self.lead_tokens + 1) // 2
        return self.lead_tokens

    @property
    def slots_are_tokens(self) -> bool:
        """Whether tokens that become no slots could be left out of layers."""
        return self.levels == "nested" and self.slot_choice in ("first", "last")

    @property
    def ends_early(self) -> bool:
        """Whether they are, of chunks that a question opens."""
        return bool(self.exit_layer or self.pruning_layer)

    @property
    def leaves_out(self) -> bool:
        """Whether they are when a document is indexed: where what is stored is coarse."""
        return self.ends_early and self.stored.overall_ratio >= COARSE

    @property
    def strip_tokens(self) -> int:
        """Tokens that the compressor reads for a full strip: the first chunk's lead and all."""
        return self.strip_lead + self.strip_chunks * self.chunk_tokens

    @property
    def deepest_stored(self) -> int:
        """The deepest level that the store keeps."""
        return self.stored_depth or self.depth

    @property
    def stored(self) -> TreeGeometry:
        """The levels that the store keeps, as a geometry of their own."""
        return replace(self, depth=self.deepest_stored, stored_depth=0)

    @property
    def path_slots(self) -> int:
        """Slots that one split-and-search path keeps of a full chunk."""
        return self.slots_per_node * (self.depth + 1)

    @property
    def overall_ratio(self) -> float:
        """Tokens per slot of one path: beta in the paper."""
        return self.chunk_tokens / self.path_slots

    @classmethod
    def for_ratio(
        cls,
        ratio: float,
        chunk_tokens: int = 1024,
        depth: int = 3,
        levels: Levels = "per_node",
        slot_choice: SlotChoice = "first",
    ) -> TreeGeometry:
        """Geometry of overall ratio ``ratio``: it stays when the chunk size changes."""
        slots = max(1, round(chunk_tokens / (ratio * (depth + 1))))
        return cls(chunk_tokens, depth, slots, levels, slot_choice)

    def at_ratio(self, ratio: float) -> TreeGeometry:
        """Return this geometry with as many slots that a path has the overall ``ratio``.

        Of the depths that meet it exactly the deepest, else the one that comes nearest. At low
        ratios the leaves of a deep tree have fewer tokens than slots; the tree is then flatter.

        Raises:
            UsageError: no depth reaches the ratio.
        """
        fits = []
        for depth in range(self.depth, 0, -1):
            slots = round(self.chunk_tokens / (ratio * (depth + 1)))
            if 1 <= slots << depth <= self.chunk_tokens:
                fits.append(replace(self, depth=depth, slots_per_node=slots, stored_depth=0))
        if fits:
            return min(fits, key=lambda one: abs(one.overall_ratio - ratio))
        raise UsageError(
            f"a ratio of {ratio:g} is out of reach for chunks of {self.chunk_tokens} tokens; "
            f"use 1 to {self.chunk_tokens // 2}"
        )

    def to_dict(self) -> dict[str, int | str]:
        """Plain values, for the store's identity and for adapter configurations.

        What came later and is at its default is left out: geometries of before stay what they were.
        """
        later = {"lead_tokens": 0, "stored_depth": 0, "strip_chunks": 1}
        later |= {"exit_layer": 0, "pruning_layer": 0}
        return {name: value for name, value in asdict(self).items() if value != later.get(name)}
