"""Losses against their textbook forms, and the model's rows against single ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.compressor import Compressor
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.training import objective
from sharedcli.training.batches import make_batch
from sharedcli.training.cuts import fixed_cut
from sharedcli.training.objective import (
    Teacher,
    TrainingStep,
    kl,
    picked_labels,
    teach,
    weigh,
)
from sharedcli.training.recipe import Objective
from sharedcli.training.samples import Running, Sample
from sharedcli.tree.geometry import TreeGeometry

PLAN = TreeGeometry(16, 1, 4, "nested", "last")


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_with_all_tokens_kept_it_is_the_kl_of_the_textbook(temperature: float) -> None:
    student, teacher = _random(6, 11), _random(6, 11, seed=1)
    target = (teacher / temperature).log_softmax(-1)
    best = target.topk(11)
    expected = kl_div(
        (student / temperature).log_softmax(-1), target, log_target=True, reduction="batchmean"
    )
    found = kl(student, Teacher(best.indices, best.values), temperature)
    torch.testing.assert_close(found, expected * temperature**2)


def test_keeping_fewer_tokens_bounds_the_kl_from_below_and_is_zero_for_equals() -> None:
    student, teacher = _random(6, 11), _random(6, 11, seed=1)
    found = []
    for kept in (2, 5, 8, 11):
        best = teacher.log_softmax(-1).topk(kept)
        found.append(float(kl(student, Teacher(best.indices, best.values))))
        assert float(kl(teacher, Teacher(best.indices, best.values))) == pytest.approx(0, abs=1e-9)
    assert found == sorted(found)
    assert found[0] > 0


def test_the_mix_weighs_both_losses() -> None:
    logits, labels = _random(6, 11).float(), torch.arange(6)
    best = _random(6, 11, seed=1).float().log_softmax(-1).topk(4)
    teacher = Teacher(best.indices, best.values)
    losses = weigh(logits, labels, Objective(next_token=0.25, distillation=3.0), teacher)
    expected = 0.25 * cross_entropy(logits, labels) + 3.0 * kl(logits, teacher)
    torch.testing.assert_close(losses.total, expected)
    alone = weigh(logits, labels, Objective(), None)
    assert alone.distillation == 0
    torch.testing.assert_close(alone.total, cross_entropy(logits, labels))


@pytest.fixture
def step(tiny_base: Callable[..., Any]) -> Any:
    base = tiny_base(dtype="float64")
    torch.manual_seed(1)
    config = AdapterConfig(injected_layers=2, geometry=PLAN, compressor_rank=4, decoder_rank=4)
    model = SharedLLM(base.model, Adapter(config, base.model).double())
    with torch.no_grad():
        for parameter in model.adapter.parameters():
            parameter.normal_(std=0.1)
    yield TrainingStep(model, Compressor(model))
    model.detach_hooks()


def _sample(seed: int, context: int, *running: int) -> Sample:
    rng = Random(seed)

    def ids(count: int) -> torch.Tensor:
        return torch.tensor([rng.randrange(5, 290) for _ in range(count)])

    texts = tuple(Running(ids(length), max(1, length // 2)) for length in running)
    return Sample(ids(context), texts)


def test_rows_that_share_a_context_equal_single_ones(step: TrainingStep) -> None:
    samples = [_sample(0, 40, 9, 6, 12), _sample(1, 33, 7)]
    cuts = [fixed_cut(len(s.context), PLAN, 2) for s in samples]
    together = make_batch(samples, cuts)
    with torch.no_grad():
        logits = step.logits(together, step.inject(together))
        singles = []
        for sample, cut in zip(samples, cuts, strict=True):
            for running in sample.running:
                one = make_batch([Sample(sample.context, (running,))], [cut])
                singles.append(step.logits(one, step.inject(one)))
    torch.testing.assert_close(logits, torch.cat(singles))
    answers = [r.tokens[r.first_target :] for s in samples for r in s.running]
    assert picked_labels(together).tolist() == torch.cat(answers).tolist()


def test_one_context_serves_all_its_questions(step: TrainingStep) -> None:
    sample = _sample(0, 40, 9, 6, 12)
    cut = fixed_cut(40, PLAN, 2)
    together = make_batch([sample], [cut])
    with torch.no_grad():
        logits = step.logits(together, step.inject(together))
        singles = [make_batch([Sample(sample.context, (r,))], [cut]) for r in sample.running]
        expected = torch.cat([step.logits(b, step.inject(b)) for b in singles])
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("at_once", [30, 10_000])
def test_the_teacher_is_the_plain_base_with_full_attention(
    step: TrainingStep, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "TEACHER_TOKENS", at_once)
    sample = _sample(0, 20, 8, 5, 11)
    batch = make_batch([sample], [fixed_cut(20, PLAN, 2)], teachers=True)
    taught = teach(step.model, batch, Objective(distillation=1.0, top_k=0, temperature=2.0))
    expected = []
    for running in sample.running:
        whole = torch.cat((sample.context, running.tokens))
        with torch.no_grad():
            logits = step.model.base(input_ids=whole[None]).logits[0].float()
        places = logits[20 + running.first_target - 1 : -1]
        expected.append((places / 2.0).log_softmax(-1))
    restored = torch.zeros(len(taught.ids), logits.shape[-1])
    restored.scatter_(1, taught.ids, taught.log_probs)
    torch.testing.assert_close(restored, torch.cat(expected))


def test_a_frozen_compressor_gets_no_gradient_and_the_rest_does(step: TrainingStep) -> None:
    step.compressor_trains = False
    sample = _sample(0, 40, 9)
    batch = make_batch([sample], [fixed_cut(40, PLAN, 2)])
    step(batch, Objective())["total"].backward()
    adapter = step.model.adapter
    assert all(p.grad is None for p in adapter.compressor.parameters())
    assert all(p.grad is not None for p in adapter.decoder.parameters())
    adapter.zero_grad()
    step.compressor_trains = True
    step(batch, Objective())["total"].backward()
    touched = [p for p in adapter.compressor.parameters() if p.grad is not None and p.grad.any()]
    assert touched
    assert all(p.grad is None for p in step.model.base.parameters())
