"""What trains: the adapter's parameters, switched on by part and put into groups of one rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter
from sharedcli.training.adapter_plan import Trainable
from sharedcli.training.recipe import Optimiser


def part_of(name: str) -> str:
    """The part of ``Trainable`` that an adapter's parameter belongs to."""
    first = name.split(".", 1)[0]
    return first if first in ("compressor", "decoder") else "injection"


def _starts_at_zero(name: str) -> bool:
    """Gates, biases and pooling queries: few, and far from where they must go."""
    return name.rsplit(".", 1)[-1] in ("gate", "slot_bias", "pool_query")


@dataclass(frozen=True)
class Trained:
    """The parameters that train, by name in a stable order, and how many of each part."""

    by_name: dict[str, torch.nn.Parameter]
    counts: dict[str, int]

    @property
    def compressor(self) -> bool:
        """Whether gradients must flow through the compressor."""
        return self.counts["compressor"] > 0 or "pool_query" in self.by_name


def choose_parameters(adapter: Adapter, trainable: Trainable) -> Trained:
    """Switch gradients on for the parts that train, off for all others.

    Raises:
        UsageError: nothing is left that trains.
    """
    by_name: dict[str, torch.nn.Parameter] = {}
    counts = {"compressor": 0, "decoder": 0, "injection": 0}
    for name, parameter in sorted(adapter.named_parameters()):
        part = part_of(name)
        trains = bool(getattr(trainable, part))
        parameter.requires_grad_(trains)
        if trains:
            by_name[name] = parameter
            counts[part] += parameter.numel()
    if not by_name:
        raise UsageError(
            "nothing trains: the adapter has no parameters in the parts that [trainable] names; "
            "raise adapter.compressor_rank or adapter.decoder_rank"
        )
    return Trained(by_name, counts)


def make_optimizer(trained: Trained, optimiser: Optimiser) -> torch.optim.AdamW:
    """AdamW with one group for what starts at zero and one for the rest, each with a ``peak``."""
    groups: list[dict[str, object]] = []
    for zero in (False, True):
        chosen = [p for n, p in trained.by_name.items() if _starts_at_zero(n) == zero]
        if chosen:
            groups.append({"params": chosen, "zero": zero})
    optimizer = torch.optim.AdamW(groups, lr=optimiser.learning_rate)
    configure(optimizer, optimiser)
    return optimizer


def configure(optimizer: torch.optim.AdamW, optimiser: Optimiser) -> None:
    """Take over a stage's settings; the moments stay."""
    for group in optimizer.param_groups:
        scale = optimiser.injection_scale if group["zero"] else 1.0
        group["peak"] = optimiser.learning_rate * scale
        group["betas"] = tuple(optimiser.betas)
        group["weight_decay"] = optimiser.weight_decay
