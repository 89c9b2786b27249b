"""How much of what full attention gains does injection recover, and does the adapter do harm?

``closed`` = (none - way) / (none - full), all three with the same adapted decoder: what the adapter
has learned about the text itself counts for neither side. ``harm`` = loss of the adapted decoder
without a context minus that of the plain base: above 0, the adapter costs something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sharedcli.evaluation.records import Record
from sharedcli.evaluation.statistics import Interval, bootstrap, recovered

ADAPTED = "@adapted"
SCORE = "loss"


@dataclass(frozen=True)
class Gap:
    """One way at one context length.

    Attributes:
        method: its name.
        where: part of the grid.
        none, loss, full: means over the items that all three have; full is None where full
            attention does not reach.
        gain: none - loss, paired.
        closed: share of the gap; None where full attention gains nothing or does not reach.
        items: how many.
    """

    method: str
    where: dict[str, Any]
    none: float
    loss: float
    full: float | None
    gain: Interval
    closed: Interval | None
    items: int

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        closed = self.closed
        return {
            "method": self.method,
            **self.where,
            "none": round(self.none, 5),
            "loss": round(self.loss, 5),
            "full": None if self.full is None else round(self.full, 5),
            "gain": round(self.gain.mean, 5),
            "gain_ci": self.gain.bounds,
            "gap_closed": None if closed is None else round(closed.mean, 5),
            "ci": None if closed is None else closed.bounds,
            "items": self.items,
        }


def references(names: Sequence[str], trained: bool) -> list[str]:
    """Methods that the gap of ``names`` needs besides: none and full with the adapted decoder."""
    if not trained or not any(_injecting(name) for name in names):
        return []
    wanted = [f"{name}{ADAPTED}" for name in ("none", "full") if name in names]
    return [name for name in wanted if name not in names]


def find_gaps(records: Sequence[Record], ways: Sequence[str], seed: int) -> list[Gap]:
    """Return gain and gap of each injecting way, for each context length."""
    adapted = ADAPTED if any(one.method.endswith(ADAPTED) for one in records) else ""
    losses: dict[str, dict[str, float]] = {}
    places: dict[str, tuple[dict[str, Any], dict[str, None]]] = {}
    for one in records:
        if SCORE in one.scores:
            losses.setdefault(one.method, {})[one.item] = one.scores[SCORE]
            places.setdefault(str(one.where), (one.where, {}))[1][one.item] = None
    none, full = losses.get(f"none{adapted}", {}), losses.get(f"full{adapted}", {})
    found = []
    for way in filter(_injecting, ways):
        for where, items in places.values():
            shared = [item for item in items if item in none and item in losses.get(way, {})]
            reached = [item for item in shared if item in full]
            rows = [
                (none[item], losses[way][item], full.get(item, math.nan))
                for item in reached or shared
            ]
            if rows:
                found.append(_gap(way, where, rows, seed))
    return found


def _gap(
    way: str, where: dict[str, Any], rows: Sequence[tuple[float, float, float]], seed: int
) -> Gap:
    none, loss, full = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    gain = bootstrap([before - after for before, after, _ in rows], seed)
    if math.isnan(full):
        return Gap(way, where, none, loss, None, gain, None, len(rows))
    return Gap(way, where, none, loss, full, gain, recovered(rows, seed), len(rows))


def find_harm(records: Sequence[Record], seed: int) -> Interval | None:
    """Loss without a context, adapted minus plain; None if not both were measured."""
    plain = {
        one.item: one.scores[SCORE]
        for one in records
        if one.method == "none" and SCORE in one.scores
    }
    gaps = [
        one.scores[SCORE] - plain[one.item]
        for one in records
        if one.method == f"none{ADAPTED}" and one.item in plain and SCORE in one.scores
    ]
    return bootstrap(gaps, seed) if gaps else None


def _injecting(name: str) -> bool:
    return name.partition("@")[0].startswith("sharedllm")
