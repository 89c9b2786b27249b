"""From records to results: means with intervals, split by grid, compared in pairs.

A method that could not take some items is scored on the rest; the number of skipped items and the
reason stand beside its score, and the paired comparison uses shared items only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sharedcli.evaluation.gap import Gap, find_gaps, find_harm
from sharedcli.evaluation.records import Record
from sharedcli.evaluation.statistics import Interval, bootstrap, paired

LOWER_IS_BETTER = ("loss", "perplexity", "false_refusal")
"""Scores by which the lower one wins."""


@dataclass(frozen=True)
class Row:
    """One method on one part of the grid.

    Attributes:
        method: its name.
        where: part of the grid; {} for all.
        scores: mean and interval by score; empty if every item was skipped.
        items, skipped: how many were measured, and how many it could not take.
        reason: why the first one was skipped.
        seconds: in all.
        means: means of numbers in the records' detail, such as slots.
        caveat: what a reader must know.
    """

    method: str
    where: dict[str, Any]
    scores: dict[str, Interval]
    items: int
    skipped: int
    reason: str
    seconds: float
    means: dict[str, float]
    caveat: str = ""

    def to_plain(self) -> dict[str, Any]:
        """JSON values: scores by name, ``ci`` of the first, ``intervals`` of all."""
        plain: dict[str, Any] = {"method": self.method, **self.where}
        plain |= {name: round(score.mean, 5) for name, score in self.scores.items()}
        plain["ci"] = next((score.bounds for score in self.scores.values()), None)
        plain["intervals"] = {name: score.bounds for name, score in self.scores.items()}
        plain |= {"items": self.items, "seconds": round(self.seconds, 3)}
        if self.items:
            plain["seconds_per_item"] = round(self.seconds / self.items, 4)
        plain |= {name: round(value, 4) for name, value in self.means.items()}
        if self.skipped:
            plain |= {"skipped": self.skipped, "skipped_because": self.reason}
        if self.caveat:
            plain["caveat"] = self.caveat
        return plain


@dataclass(frozen=True)
class Comparison:
    """Two methods on the items that both have."""

    first: str
    second: str
    score: str
    difference: Interval
    wins: int
    losses: int
    ties: int
    p: float | None

    def to_plain(self) -> dict[str, Any]:
        """JSON values; ``difference`` is second minus first, ``wins`` are the second's."""
        return {
            "first": self.first,
            "second": self.second,
            "score": self.score,
            "difference": round(self.difference.mean, 5),
            "ci": self.difference.bounds,
            "items": self.difference.items,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "p": None if self.p is None else round(self.p, 4),
        }


@dataclass(frozen=True)
class Result:
    """What a run found; ``gaps`` and ``harm`` where losses were measured (``gap.py``)."""

    task: str
    rows: list[Row]
    parts: list[Row]
    comparisons: list[Comparison]
    run: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    harm: Interval | None = None

    def to_plain(self) -> dict[str, Any]:
        """The object of ``--json``."""
        parts = [part.to_plain() for part in self.parts]
        methods = []
        for row in self.rows:
            own = [part for part in parts if part["method"] == row.method]
            methods.append({**row.to_plain(), **({"parts": own} if own else {})})
        plain: dict[str, Any] = {
            "task": self.task,
            "methods": methods,
            "paired": [one.to_plain() for one in self.comparisons],
        }
        if self.gaps:
            plain["gap"] = [one.to_plain() for one in self.gaps]
        if self.harm is not None:
            mean, bounds = round(self.harm.mean, 5), self.harm.bounds
            plain["harm"] = {"difference": mean, "ci": bounds, "items": self.harm.items}
        return {**plain, "notes": list(self.notes), "run": self.run}


def summarise(
    task: str,
    records: Sequence[Record],
    ways: Sequence[str],
    *,
    caveats: dict[str, str] | None = None,
    run: dict[str, Any] | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Result:
    """Turn records into means, parts of the grid and pairs (each method against the first)."""
    caveats = caveats or {}
    by_way = {way: [one for one in records if one.method == way] for way in ways}
    rows = [_row(way, {}, found, caveats.get(way, ""), seed) for way, found in by_way.items()]
    parts = []
    places = list({json.dumps(one.where): one.where for one in records if one.where}.values())
    if len(places) > 1:
        for way, found in by_way.items():
            for where in places:
                here = [one for one in found if one.where == where]
                if here:
                    parts.append(_row(way, where, here, "", seed))
    return Result(
        task,
        rows,
        parts,
        _pairs(by_way, seed),
        run or {},
        tuple(notes),
        tuple(find_gaps(records, ways, seed)),
        find_harm(records, seed),
    )


def _row(way: str, where: dict[str, Any], records: Sequence[Record], caveat: str, seed: int) -> Row:
    measured = [one for one in records if not one.skipped]
    skipped = [one for one in records if one.skipped]
    names = list(dict.fromkeys(name for one in measured for name in one.scores))
    scores = {}
    for name in names:
        having = [one for one in measured if name in one.scores]
        groups = [one.group or one.item for one in having]
        scores[name] = bootstrap([one.scores[name] for one in having], seed, groups)
    keys = ("prompt_tokens", "slots", "context_tokens", "compress_seconds")
    means = {}
    for key in keys:
        values = [one.detail[key] for one in measured if key in one.detail]
        if values:
            means[key] = sum(values) / len(values)
    return Row(
        way,
        where,
        scores,
        len(measured),
        len(skipped),
        skipped[0].skipped if skipped else "",
        sum(one.seconds for one in measured),
        means,
        caveat,
    )


def compare_records(
    first: str, before: Sequence[Record], second: str, after: Sequence[Record], seed: int = 0
) -> Comparison | None:
    """Compare two sets of records by their first shared score; None if no item is in both."""
    name = next((n for one in before for n in one.scores), None)
    if name is None:
        return None
    one, other = (
        {r.item: r.scores[name] for r in records if name in r.scores} for records in (before, after)
    )
    if not set(one) & set(other):
        return None
    groups = {r.item: r.group or r.item for r in before}
    found = paired(one, other, seed, groups)
    wins, losses = found.wins, found.losses
    if name in LOWER_IS_BETTER:
        wins, losses = losses, wins
    return Comparison(first, second, name, found.difference, wins, losses, found.ties, found.p)


def _pairs(by_way: dict[str, list[Record]], seed: int) -> list[Comparison]:
    ways = list(by_way)
    found = []
    for way in ways[1:]:
        pair = compare_records(ways[0], by_way[ways[0]], way, by_way[way], seed)
        if pair:
            found.append(pair)
    return found
