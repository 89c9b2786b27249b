"""Budgets and learning rates: how far a stage is, and how large its next step may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sharedcli.errors import UsageError
from sharedcli.training.recipe import Optimiser, Recipe


@dataclass(frozen=True)
class Budget:
    """What a stage may use: ``steps`` and ``seconds`` of training, 0 for no limit of that kind."""

    steps: int
    seconds: float

    def progress(self, steps: int, seconds: float) -> float:
        """Share of the budget that is used, from 0 to 1, by whichever limit is nearer."""
        shares = [steps / self.steps] if self.steps else []
        shares += [seconds / self.seconds] if self.seconds else []
        return min(1.0, max(shares))


def budgets(recipe: Recipe) -> list[Budget]:
    """Divide the recipe's steps and minutes among its stages by their shares.

    Raises:
        UsageError: the recipe sets no limit.
    """
    if not recipe.steps and not recipe.minutes:
        raise UsageError("training has no end; give --steps or --minutes")
    total = sum(stage.share for stage in recipe.stages)
    return [
        Budget(
            max(1, round(recipe.steps * stage.share / total)) if recipe.steps else 0,
            recipe.minutes * 60 * stage.share / total,
        )
        for stage in recipe.stages
    ]


def rate_factor(progress: float, optimiser: Optimiser) -> float:
    """Learning rate relative to its peak: linear warm-up, then a cosine down to the floor."""
    if progress < optimiser.warmup:
        return max(0.02, progress / optimiser.warmup)
    done = (progress - optimiser.warmup) / max(1e-9, 1 - optimiser.warmup)
    return optimiser.floor + (1 - optimiser.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
