"""All methods by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sharedcli.errors import UsageError
from sharedcli.evaluation.methods.contract import Method, Workbench
from sharedcli.evaluation.methods.encoder_decoder import EncoderDecoder
from sharedcli.evaluation.methods.lingua import Lingua
from sharedcli.evaluation.methods.passages import Passages
from sharedcli.evaluation.methods.plain import Full, NoContext, Truncated
from sharedcli.evaluation.methods.sharedllm import SharedLLMAlone, SharedLLMPassages
from sharedcli.evaluation.methods.streaming import Streaming

METHODS: dict[str, type[Method]] = {
    kind.name: kind
    for kind in (
        NoContext,
        Truncated,
        Full,
        Passages,
        Streaming,
        EncoderDecoder,
        Lingua,
        SharedLLMAlone,
        SharedLLMPassages,
    )
}


BUDGETED = (Lingua.name, SharedLLMAlone.name, SharedLLMPassages.name)
"""Methods that ``@N`` gives another budget: "sharedllm@256"."""


def parse_methods(text: str) -> list[str]:
    """Read "none,full", "sharedllm@256" or "all".

    Raises:
        UsageError: a name that there is not, with those that there are.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return list(METHODS)
    for name in names:
        bare, at, budget = name.partition("@")
        if at and not (bare in BUDGETED and budget.isdigit()):
            raise UsageError(
                f"{name!r} is no method with a budget; write it like sharedllm@256, for "
                f"{', '.join(BUDGETED)}"
            )
        if bare not in METHODS:
            more = ""
            if name in ("beacon", "beacon-like"):
                more = " (progressive beacon compression needs weights trained for it)"
            raise UsageError(
                f"there is no method {name!r}{more}; use some of {', '.join(METHODS)}, or all"
            )
    if not names:
        raise UsageError(f"no method is named; use some of {', '.join(METHODS)}, or all")
    return list(dict.fromkeys(names))


def make_methods(names: Sequence[str], bench: Workbench) -> dict[str, Method]:
    """Make the named methods on one workbench, by name."""
    made = {}
    for name in names:
        bare, at, budget = name.partition("@")
        own = replace(bench.settings, budget=int(budget)) if at else bench.settings
        made[name] = METHODS[bare](replace(bench, settings=own))
    return made
