"""What a benchmark found, as one JSON object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """Entries of one benchmark.

    Attributes:
        task: "latency", "memory", "storage" or "index".
        methods: one entry per method and context; figures are null where ``skipped`` says why.
        run: model, adapter, geometry, seed, commit, versions, device, threads, date.
        more: further figures of the whole run, such as the ceiling or slopes.
        notes: sentences for the reader.
    """

    task: str
    methods: list[dict[str, Any]]
    run: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """The object of ``--json``."""
        return {
            "task": self.task,
            "methods": self.methods,
            **self.more,
            "notes": list(self.notes),
            "run": self.run,
        }


def slope(points: list[tuple[int, int]]) -> float | None:
    """Bytes per token by least squares over (tokens, bytes); None for fewer than two lengths."""
    if len({tokens for tokens, _ in points}) < 2:
        return None
    middle = sum(tokens for tokens, _ in points) / len(points)
    mean = sum(held for _, held in points) / len(points)
    up = sum((tokens - middle) * (held - mean) for tokens, held in points)
    return up / sum((tokens - middle) ** 2 for tokens, _ in points)


def slope_per_100k(points: list[tuple[int, int]]) -> float | None:
    """The same in MB per 100,000 tokens."""
    found = slope(points)
    return None if found is None else found * 100_000 / 1e6
