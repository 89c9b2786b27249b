"""All methods by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sharedcli.errors import UsageError

if TYPE_CHECKING:
    from sharedcli.benchmarks.methods.contract import Bench, Method

NAMES = ("full", "streaming", "encoder-decoder", "sharedllm", "sharedllm-indexed")
INDEXED = "sharedllm-indexed"
BUDGETED = ("sharedllm", INDEXED)
"""Methods that take a budget of slots behind an @."""


def parse_methods(text: str, more: Sequence[str] = ()) -> list[str]:
    """Read "full,streaming", "sharedllm-indexed@256" or "all".

    Args:
        text: as typed.
        more: further names that the command knows.

    Raises:
        UsageError: a name that there is not, with those that there are.
    """
    known = (*more, *NAMES)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return list(known)
    for name in names:
        bare, at, budget = name.partition("@")
        if bare not in known:
            raise UsageError(f"there is no method {name!r}; use some of {', '.join(known)}, or all")
        if at and (bare not in BUDGETED or not budget.isdigit() or not int(budget)):
            raise UsageError(
                f"{name!r} is no method with a budget of slots; write it like {INDEXED}@256"
            )
    if not names:
        raise UsageError(f"no method is named; use some of {', '.join(known)}, or all")
    return list(dict.fromkeys(names))


def is_stored(name: str) -> bool:
    """Whether a method reads a store, so that the context must be indexed before."""
    return name.partition("@")[0] == INDEXED


def make_method(name: str, bench: Bench) -> Method:
    """Make a method by its name, as ``parse_methods`` lets it through."""
    from sharedcli.benchmarks.methods.encoder_decoder import EncoderDecoder
    from sharedcli.benchmarks.methods.full import Full
    from sharedcli.benchmarks.methods.sharedllm import SharedLLMFresh, SharedLLMIndexed
    from sharedcli.benchmarks.methods.streaming import Streaming
    from sharedcli.benchmarks.methods.within_budget import FreshWithinBudget, IndexedWithinBudget

    bare, _, budget = name.partition("@")
    if budget:
        within = {kind.name: kind for kind in (FreshWithinBudget, IndexedWithinBudget)}
        return within[bare](bench, int(budget))
    kinds = (Full, Streaming, EncoderDecoder, SharedLLMFresh, SharedLLMIndexed)
    return {kind.name: kind for kind in kinds}[bare](bench)
