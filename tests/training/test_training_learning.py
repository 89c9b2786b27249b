"""Injection learns: what the slots hold, and where they stand, reaches the running text."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch

from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.compressor import Compressor
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.training.adapter_plan import Trainable
from sharedcli.training.batches import Batch, make_batch
from sharedcli.training.cuts import Cut, level_geometry
from sharedcli.training.objective import TrainingStep
from sharedcli.training.parameters import choose_parameters, make_optimizer
from sharedcli.training.recipe import Objective, Optimiser
from sharedcli.training.samples import Running, Sample
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry

CHUNK = 8
KINDS = 6  # tokens of each of four classes
FIRST = 20  # the first of them in the vocabulary
STEPS = 200


def _token(rng: Random, kind: int) -> int:
    return FIRST + kind * KINDS + rng.randrange(KINDS)


def _sample(rng: Random) -> Sample:
    """Two chunks that share a word of three classes; the fourth is told apart by its chunk.

    The running text repeats the three, then the last chunk's fourth: three targets need the
    context, one needs its order too. Two tokens stand before them, since the first may be the
    attention sink that sees no slots.
    """
    common = [_token(rng, kind) for kind in range(3)]
    own = [_token(rng, 3) for _ in range(2)]
    context = [token for word in own for token in (*common, word) for _ in range(2)]
    return Sample(torch.tensor(context), (Running(torch.tensor([1, 2, *common, own[1]]), 2),))


def _batch(samples: list[Sample], contexts: list[torch.Tensor] | None) -> Batch:
    geometry = level_geometry(TreeGeometry(CHUNK, 1, 4, "nested", "last"), 1, 1)
    if contexts is None:
        return make_batch(samples, ())
    tree = ContextTree(2 * CHUNK, geometry)
    cut = Cut(tree, tuple(tree.level(chunk, 1) for chunk in range(2)))
    shown = [Sample(c, s.running) for c, s in zip(contexts, samples, strict=True)]
    return make_batch(shown, [cut] * len(shown))


@pytest.mark.parametrize("form", ["joint", "cross"])
def test_a_toy_copying_task_is_learnt_through_injection_alone(
    tiny_base: Callable[..., Any], form: Any
) -> None:
    base = tiny_base()
    torch.manual_seed(0)
    geometry = TreeGeometry(CHUNK, 1, 4, "nested", "last")
    config = AdapterConfig(
        form=form, injected_layers=3, geometry=geometry, compressor_rank=16, decoder_rank=16
    )
    model = SharedLLM(base.model, Adapter(config, base.model))
    try:
        step = TrainingStep(model, Compressor(model))
        trained = choose_parameters(model.adapter, Trainable())
        optimizer = make_optimizer(trained, Optimiser(learning_rate=5e-3))
        for number in range(STEPS):
            rng = Random(number)
            samples = [_sample(rng) for _ in range(16)]
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * (1 - 0.9 * number / STEPS)
            step(_batch(samples, [s.context for s in samples]), Objective())["total"].backward()
            torch.nn.utils.clip_grad_norm_(trained.by_name.values(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        unseen = Random("unseen")
        samples = [_sample(unseen) for _ in range(64)]
        real = _loss(step, _batch(samples, [s.context for s in samples]))
        swapped = [torch.cat((s.context[CHUNK:], s.context[:CHUNK])) for s in samples]
        shuffled = _loss(step, _batch(samples, swapped))
        none = _loss(step, _batch(samples, None))
    finally:
        model.detach_hooks()
    assert real < 0.5
    assert real + 0.1 < shuffled < none - 0.3


@torch.no_grad()
def _loss(step: TrainingStep, batch: Batch) -> float:
    return float(step(batch, Objective())["next_token"])
