"""How sure is a figure? Bootstrap intervals of a mean, and of the difference of two methods.

Percentile bootstrap (Efron, 1979) over items, seeded: the same records give the same interval.
Two methods are compared on the items that both have, so that what is hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds that hold it with 95 % confidence; NaN-free.

    One item tells nothing about its spread: then the bounds are None.
    """

    mean: float
    low: float | None
    high: float | None
    items: int

    @property
    def bounds(self) -> list[float] | None:
        """[low, high] for JSON, or None."""
        if self.low is None or self.high is None:
            return None
        return [round(self.low, 5), round(self.high, 5)]


@dataclass(frozen=True)
class Paired:
    """Second minus first over shared items. ``p`` is the share of resamples on the other side."""

    difference: Interval
    wins: int
    losses: int
    ties: int
    p: float | None


def bootstrap(
    values: Sequence[float], seed: int = 0, groups: Sequence[str] | None = None
) -> Interval:
    """Return the mean of ``values`` with its percentile interval.

    Args:
        values: one per item.
        seed: of the resampling.
        groups: what each item belongs to, such as its document: then whole groups are drawn,
            since questions about one document are not independent.

    Raises:
        ValueError: there is no value.
    """
    if not len(values):
        raise ValueError("no values to average")
    means = _resampled(np.asarray(values, dtype=np.float64), seed, groups)
    mean = float(np.mean(values))
    if means is None:
        return Interval(mean, None, None, len(values))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean, float(low), float(high), len(values))


def paired(
    first: Mapping[str, float],
    second: Mapping[str, float],
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> Paired:
    """Compare two methods on the items that both have.

    Args:
        first, second: score by item.
        seed: of the resampling.
        groups: by item, as in ``bootstrap``.

    Raises:
        ValueError: no item is in both.
    """
    shared = [item for item in first if item in second]
    if not shared:
        raise ValueError("no item is in both")
    gaps = np.asarray([second[item] - first[item] for item in shared])
    together = None if groups is None else [groups[item] for item in shared]
    found = bootstrap(gaps.tolist(), seed, together)
    means = _resampled(gaps, seed, together)
    p = None
    if means is not None:
        # two-sided; never 0, since so many resamples cannot show less than one in so many
        beyond = min(float(np.mean(means <= 0)), float(np.mean(means >= 0)))
        p = min(1.0, 2 * max(beyond, 1 / RESAMPLES))
    return Paired(found, int((gaps > 0).sum()), int((gaps < 0).sum()), int((gaps == 0).sum()), p)


def recovered(rows: Sequence[tuple[float, float, float]], seed: int = 0) -> Interval | None:
    """Return (none - way) / (none - full) over items, with its interval.

    Args:
        rows: (none, way, full) of each item.
        seed: of the resampling.

    Returns:
        None if full is no lower than none. The bounds are None if that is so in more than one of
        a hundred resamples: the gap itself is not sure then.
    """
    values = np.asarray(rows, dtype=np.float64)

    def share(chosen: np.ndarray) -> float:
        none, way, full = chosen.mean(axis=0)
        return float((none - way) / (none - full)) if none > full else float("nan")

    mean = share(values)
    if np.isnan(mean):
        return None
    low = high = None
    if len(values) > 1:
        generator = np.random.default_rng(seed)
        drawn = [
            share(values[generator.integers(0, len(values), len(values))]) for _ in range(RESAMPLES)
        ]
        if np.isnan(drawn).mean() <= 0.01:
            tail = 50 * (1 - CONFIDENCE)
            low, high = (float(one) for one in np.nanpercentile(drawn, [tail, 100 - tail]))
    return Interval(mean, low, high, len(values))


def _resampled(values: np.ndarray, seed: int, groups: Sequence[str] | None) -> np.ndarray | None:
    """Means of the resamples; None where there is only one thing to draw from."""
    generator = np.random.default_rng(seed)
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        names, inverse = np.unique(np.asarray(groups), return_inverse=True)
        sums = np.bincount(inverse, weights=values, minlength=len(names))
        sizes = np.bincount(inverse, minlength=len(names)).astype(np.float64)
    if len(sums) < 2:
        return None
    means = np.empty(RESAMPLES)
    for at in range(RESAMPLES):  # one at a time: memory stays flat for any number of items
        drawn = generator.integers(0, len(sums), len(sums))
        means[at] = sums[drawn].sum() / sizes[drawn].sum()
    return means
