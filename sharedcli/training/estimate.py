"""What a run would take: tokens, steps, memory and time, said before it is begun.

Tokens and operations are counted on batches that the run would really draw. Times divide the
operations by a rate that is named: this machine's measured peak, and two reference machines at
shares of peak that runs of small models have been seen to reach.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from sharedcli.measuring.ceiling import peak_of
from sharedcli.training.batches import Batch
from sharedcli.training.feed import Place
from sharedcli.training.fused import FusedStep
from sharedcli.training.observer import Observer
from sharedcli.training.prepare import Job, Prepared, prepare
from sharedcli.training.schedule import Budget, budgets

_SAMPLED = 12
"""Batches that are drawn per stage."""
CPU_FLOPS = 80e9
"""Assumed for two CPU cores."""
GPU_FLOPS, GPU_SHARE = 989e12, 0.15
"""A modern accelerator (H100 class, dense bf16) and the share of it that is assumed."""
THIS_SHARE = 0.35
"""Share of this machine's measured peak that is assumed."""


@dataclass(frozen=True)
class Time:
    """Seconds on a machine, and what they rest on."""

    name: str
    seconds: float
    basis: str


@dataclass(frozen=True)
class Estimate:
    """Figures of a whole run; ``steps`` is 0 where only minutes are given."""

    base_parameters: int
    trained: dict[str, int]
    training_tokens: int
    held_tokens: int
    questions: int
    steps: int
    tokens_per_step: float
    tokens: float
    memory_bytes: int
    times: tuple[Time, ...]

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Load:
    """Means over drawn batches of one stage, per optimiser step."""

    tokens: float
    work: float
    activations: int


def estimate(job: Job, observer: Observer) -> Estimate:
    """Load the base and the data, draw some batches, and reckon; nothing is trained."""
    prepared = prepare(job, observer)
    loads = [_load(prepared, index) for index in range(len(job.recipe.stages))]
    limits = budgets(job.recipe)
    peak = peak_of(prepared.model.device, prepared.dtype)
    here = peak.flops * THIS_SHARE
    steps = [_steps(limit, load, here) for limit, load in zip(limits, loads, strict=True)]
    work = sum(n * load.work for n, load in zip(steps, loads, strict=True))
    tokens = sum(n * load.tokens for n, load in zip(steps, loads, strict=True))
    gpu = GPU_FLOPS * GPU_SHARE
    times = (
        Time(
            f"time on this {peak.name}",
            work / here,
            f"{THIS_SHARE:.0%} of {peak.flops / 1e12:.2f} TFLOP/s, {peak.origin}",
        ),
        Time("time on 2 CPU cores", work / CPU_FLOPS, f"assumed {CPU_FLOPS / 1e9:.0f} GFLOP/s"),
        Time(
            "time on one modern GPU",
            work / gpu,
            f"assumed {GPU_SHARE:.0%} of {GPU_FLOPS / 1e12:.0f} TFLOP/s",
        ),
    )
    return Estimate(
        base_parameters=_parameters(prepared),
        trained=prepared.trained.counts,
        training_tokens=sum(d.tokens for s in prepared.sources for d in s.training),
        held_tokens=sum(d.tokens for s in prepared.sources for d in s.held),
        questions=sum(len(d.questions) for s in prepared.sources for d in s.training),
        steps=sum(steps) if job.recipe.steps else 0,
        tokens_per_step=tokens / max(1, sum(steps)),
        tokens=tokens,
        memory_bytes=_memory(prepared) + max(load.activations for load in loads),
        times=times,
    )


def _load(prepared: Prepared, index: int) -> _Load:
    stage, feed = prepared.job.recipe.stages[index], prepared.feeds[index]
    cost = prepared.cost
    batches = [feed.batch(Place(i), i / _SAMPLED) for i in range(_SAMPLED)]
    sizes = [batch.size for batch in batches]
    work = sum(cost.flops(batch) for batch in batches) / _SAMPLED
    most = max(_activations(prepared, batch) for batch in batches)
    return _Load(sum(sizes) / _SAMPLED * stage.accumulate, work * stage.accumulate, most)


def _steps(limit: Budget, load: _Load, flops: float) -> int:
    """Steps of a stage; where only seconds are given, as many as this machine would make."""
    by_time = max(1, int(limit.seconds * flops / load.work)) if limit.seconds else 0
    if limit.steps and by_time:
        return min(limit.steps, by_time)
    return limit.steps or by_time


def _parameters(prepared: Prepared) -> int:
    """Parameters of the base, packed ones counted by their weight shapes."""
    cost = prepared.cost
    tied = bool(prepared.base.config.tie_word_embeddings)
    return cost.layer * cost.layers + cost.head * (1 if tied else 2)


def _memory(prepared: Prepared) -> int:
    """Bytes of the base, and of the adapter with gradient and two moments."""
    adapter = sum(p.numel() for p in prepared.model.adapter.parameters()) * 4
    trained = sum(p.numel() for p in prepared.trained.by_name.values()) * 12
    return prepared.base.memory_bytes + adapter + trained


def _activations(prepared: Prepared, batch: Batch) -> int:
    """Bytes that a batch keeps for its backward pass."""
    config = prepared.base.config
    width, tokens = config.hidden_size, batch.size
    # per token and layer: about 14 kept vectors of the hidden and 6 of the inner width
    kept = 14 * width + 6 * config.intermediate_size
    if prepared.job.recipe.checkpointing:
        kept = width
    item = torch.finfo(prepared.dtype).bits // 8
    numbers = tokens * config.num_hidden_layers * kept
    if isinstance(prepared.step, FusedStep):  # others' attention keeps no weights
        numbers += config.num_attention_heads * prepared.cost.attention_weights(batch)
    head = min(tokens, 2048) * config.vocab_size * 10  # logits in half and single precision
    return int(numbers * item + head)
