"""Variants of a method, written behind its name: ``sharedllm@r8@shuffled``.

| behind the name | |
|---|---|
| ``@256`` | at most so many slots (``lingua``: tokens), spent where retrieval finds relevance |
| ``@r8`` | every chunk at this overall ratio, in tokens per slot |
| ``@near`` | with a ratio: the whole text coarse, and single tokens where the running text begins |
| ``@m10`` | slots reach the lowest ten layers only |
| ``@shuffled`` | a control: the chunks' slots in another order |
| ``@other`` | a control: the slots of another document |
| ``@oracle`` | the descent is told where the needle lies |
| ``@adapted`` | ``none`` and ``full`` with the adapter's decoder instead of the plain base |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sharedcli.errors import UsageError

_RATIO = re.compile(r"r(\d{1,5}(?:\.\d{1,3})?)")
_LAYERS = re.compile(r"m(\d{1,4})")
_BUDGET = re.compile(r"\d{1,9}")
_FLAGS = ("near", "shuffled", "other", "oracle", "adapted")


@dataclass(frozen=True)
class Variant:
    """What is not as usual; see the table above. ``kinds`` names what is set."""

    budget: int | None = None
    ratio: float | None = None
    layers: int | None = None
    near: bool = False
    shuffled: bool = False
    other: bool = False
    oracle: bool = False
    adapted: bool = False

    @property
    def kinds(self) -> set[str]:
        """Names of the fields that are set."""
        return {name for name, value in vars(self).items() if value not in (None, False)}

    @property
    def control(self) -> bool:
        """Whether the method is given something else than its document."""
        return self.shuffled or self.other


PLAIN = Variant()


def parse_variant(name: str, takes: Collection[str]) -> Variant:
    """Read what stands behind a method's name.

    Args:
        name: the whole name.
        takes: fields of ``Variant`` that this method knows.

    Raises:
        UsageError: something that it does not know, or a budget and a ratio at once.
    """
    found = PLAIN
    for part in name.split("@")[1:]:
        if _BUDGET.fullmatch(part):
            one = replace(found, budget=int(part))
        elif match := _RATIO.fullmatch(part):
            one = replace(found, ratio=float(match[1]))
        elif match := _LAYERS.fullmatch(part):
            one = replace(found, layers=int(match[1]))
        elif part in _FLAGS:
            one = replace(found, **{part: True})
        else:
            one = found
        if one == found or not one.kinds <= set(takes):
            bare = name.partition("@")[0]
            raise UsageError(f"{name!r} is no method: behind {bare} may stand {_spellings(takes)}")
        found = one
    if found.ratio is not None and (found.budget is not None or found.ratio < 1):
        raise UsageError(f"{name!r}: give a budget, or a ratio of at least 1, not both")
    if found.near and found.ratio is None:
        raise UsageError(f"{name!r}: give near a ratio, like @r8@near")
    if found.shuffled and found.other:
        raise UsageError(f"{name!r}: give one control, shuffled or other")
    if found.layers == 0:
        raise UsageError(f"{name!r}: give at least one layer")
    return found


def expand(
    names: Sequence[str],
    takes: Mapping[str, Collection[str]],
    ratios: Sequence[float],
    controls: bool,
) -> list[str]:
    """Write one name for each ratio, and with ``controls`` two more for each that has controls.

    Args:
        names: as given.
        takes: what each bare name knows.
        ratios: for names that know ratios and have neither a ratio nor a budget; none: as it is.
    """
    found: list[str] = []
    for name in names:
        bare = name.partition("@")[0]
        variant = parse_variant(name, takes[bare])
        plain = "ratio" in takes[bare] and variant.ratio is None and variant.budget is None
        several = [f"{name}@r{ratio:g}" for ratio in ratios] if plain and ratios else [name]
        for one in several:
            found.append(one)
            if controls and "shuffled" in takes[bare] and not variant.control:
                found += [f"{one}@shuffled", f"{one}@other"]
    return list(dict.fromkeys(found))


def _spellings(takes: Collection[str]) -> str:
    ways = {"budget": "@256", "ratio": "@r8", "layers": "@m10"}
    known = [ways.get(name, f"@{name}") for name in vars(PLAIN) if name in takes]
    return ", ".join(known) or "nothing"
