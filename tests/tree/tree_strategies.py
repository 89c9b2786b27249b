"""Hypothesis strategies for trees of every shape: odd lengths, short tails, single tokens."""

from __future__ import annotations

from hypothesis import strategies as st

from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry


@st.composite
def geometries(draw: st.DrawFn, levels: str | None = None) -> TreeGeometry:
    depth = draw(st.integers(1, 4))
    slots = draw(st.integers(1, 5))
    chunk_tokens = (slots << depth) + draw(st.integers(0, 40))
    levels = levels or draw(st.sampled_from(("per_node", "nested")))
    lead = draw(st.integers(0, 20))
    return TreeGeometry(
        chunk_tokens,
        depth,
        slots,
        levels,  # type: ignore[arg-type]
        lead_tokens=lead,
        stored_depth=draw(st.integers(0, depth)),
        strip_chunks=draw(st.integers(1, 4)) if lead and levels == "nested" else 1,
    )


@st.composite
def trees(draw: st.DrawFn, levels: str | None = None) -> ContextTree:
    geometry = draw(geometries(levels))
    return ContextTree(draw(st.integers(1, 3 * geometry.chunk_tokens)), geometry)
