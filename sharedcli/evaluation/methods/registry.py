"""All methods by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sharedcli.errors import UsageError
from sharedcli.evaluation.methods.beacon import BeaconLike
from sharedcli.evaluation.methods.contract import Method, Workbench
from sharedcli.evaluation.methods.encoder_decoder import EncoderDecoder
from sharedcli.evaluation.methods.lingua import Lingua
from sharedcli.evaluation.methods.passages import Passages
from sharedcli.evaluation.methods.plain import Full, NoContext, Truncated
from sharedcli.evaluation.methods.sharedllm import SharedLLMAlone, SharedLLMPassages
from sharedcli.evaluation.methods.streaming import Streaming
from sharedcli.evaluation.methods.variants import Variant, expand, parse_variant
from sharedcli.tree.geometry import TreeGeometry

METHODS: dict[str, type[Method]] = {
    kind.name: kind
    for kind in (
        NoContext,
        Truncated,
        Full,
        Passages,
        Streaming,
        BeaconLike,
        EncoderDecoder,
        Lingua,
        SharedLLMAlone,
        SharedLLMPassages,
    )
}


def parse_methods(text: str, ratios: Sequence[float] = (), *, controls: bool = False) -> list[str]:
    """Read "none,full", "sharedllm@256", "sharedllm@r8" or "all".

    Args:
        text: names, comma-separated.
        ratios: compressing methods get one name for each, if they name neither ratio nor budget.
        controls: compressing methods also get a shuffled document and another one.

    Raises:
        UsageError: a name that there is not, with those that there are.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        names = list(METHODS)
    if not names:
        raise UsageError(f"no method is named; use some of {', '.join(METHODS)}, or all")
    for name in names:
        if name.partition("@")[0] not in METHODS:
            raise UsageError(
                f"there is no method {name!r}; use some of {', '.join(METHODS)}, or all"
            )
    takes = {name: kind.takes for name, kind in METHODS.items()}
    return expand(names, takes, ratios, controls)


def make_methods(names: Sequence[str], bench: Workbench) -> dict[str, Method]:
    """Make the named methods on one workbench, by name.

    Raises:
        UsageError: a ratio that no geometry reaches, or more layers than the adapter injects into.
    """
    variants = {name: parse_variant(name, METHODS[name.partition("@")[0]].takes) for name in names}
    bench = replace(bench, together=_together(variants, bench))
    made = {}
    for name, variant in variants.items():
        most = bench.model.shared.injected_layers
        if variant.layers is not None and variant.layers > most:
            raise UsageError(f"{name!r}: this adapter injects into {most} layers at most")
        settings = bench.settings
        if variant.budget is not None:
            settings = replace(settings, budget=variant.budget)
        made[name] = METHODS[name.partition("@")[0]](replace(bench, settings=settings))
        made[name].variant = variant
    return made


def _together(variants: dict[str, Variant], bench: Workbench) -> tuple[TreeGeometry, ...]:
    """Geometries of the methods that take the fixed path of every chunk of a text."""
    found: dict[TreeGeometry, None] = {}
    for name, variant in variants.items():
        if issubclass(METHODS[name.partition("@")[0]], SharedLLMAlone) and variant.budget is None:
            geometry = bench.model.geometry(bench.settings)
            found[geometry if variant.ratio is None else geometry.at_ratio(variant.ratio)] = None
    return tuple(found)
