"""The fused roles against the hooked ones: same slots, logits and gradients."""

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
from sharedcli.training import fused as fused_module
from sharedcli.training import fused_layer
from sharedcli.training.batches import Batch, alike, make_batch
from sharedcli.training.cuts import fixed_cut
from sharedcli.training.fused import FusedStep, fits
from sharedcli.training.fused_weights import product
from sharedcli.training.objective import TrainingStep, teach
from sharedcli.training.recipe import Objective
from sharedcli.training.samples import Running, Sample
from sharedcli.tree.geometry import TreeGeometry

PLAN = TreeGeometry(16, 1, 4, "nested", "last")
# the stock norm works in float32, whatever the model is in
NEAR = {"rtol": 1e-3, "atol": 2e-5}
CONFIG = AdapterConfig(injected_layers=2, geometry=PLAN, compressor_rank=4, decoder_rank=4)


def _adapted(base: Any, config: AdapterConfig = CONFIG) -> SharedLLM:
    torch.manual_seed(1)
    model = SharedLLM(base.model, Adapter(config, base.model).double())
    with torch.no_grad():
        for parameter in model.adapter.parameters():
            parameter.normal_(std=0.1)
    return model


@pytest.fixture
def model(tiny_base: Callable[..., Any]) -> Any:
    model = _adapted(tiny_base(dtype="float64"))
    yield model
    model.detach_hooks()


@pytest.fixture
def steps(model: SharedLLM) -> tuple[TrainingStep, FusedStep]:
    compressor = Compressor(model)
    return TrainingStep(model, compressor), FusedStep(model, compressor, True, torch.float64)


def _ids(rng: Random, count: int) -> torch.Tensor:
    return torch.tensor([rng.randrange(5, 290) for _ in range(count)])


def _asked(seed: int, context: int, *running: int) -> Sample:
    rng = Random(seed)
    texts = tuple(Running(_ids(rng, length), max(1, length // 2)) for length in running)
    return Sample(_ids(rng, context), texts)


def _along(seed: int) -> Sample:
    whole = _ids(Random(seed), 60)
    texts = (
        Running(whole[16:26], sees=16),
        Running(whole[32:42], sees=32),
        Running(whole[48:58], sees=48),
    )
    return Sample(whole[:48], texts)


def _alike(seed: int) -> Sample:
    """Texts that begin alike for 20 tokens, but for the last one's 17."""
    rng = Random(seed)
    front = _ids(rng, 20)
    ends = [torch.cat((front, _ids(rng, size))) for size in (6, 9, 4)]
    ends.append(torch.cat((front[:17], _ids(rng, 8))))
    return Sample(_ids(rng, 40), tuple(Running(text, 22) for text in ends))


def _batch(kind: str) -> Batch:
    samples = {
        "alike": [_alike(0), _alike(1), _asked(1, 33, 7)],
        "asked": [_asked(0, 40, 9, 6, 12), _asked(1, 33, 7)],
        "along": [_along(0), _along(1)],
        "short": [_asked(2, 11, 5)],
    }[kind]
    cuts = [fixed_cut(len(sample.context), PLAN, 2) for sample in samples]
    return make_batch(samples, cuts, teachers=True)


@pytest.mark.parametrize("block", [4, 256])
@pytest.mark.parametrize("kind", ["asked", "along", "short", "alike"])
def test_losses_and_gradients_are_the_hooked_ones(
    kind: str, block: int, steps: tuple[TrainingStep, FusedStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_layer, "BLOCK", block)
    batch = _batch(kind)
    objective = Objective(next_token=0.5, distillation=1.0)
    teacher = teach(steps[0].model, batch, objective)
    adapter = steps[0].model.adapter
    found: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
    for step in steps:
        adapter.zero_grad()
        losses = step(batch, objective, teacher)
        losses["total"].backward()
        grads = [
            torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in adapter.parameters()
        ]
        found.append((losses["total"].detach(), grads))
    torch.testing.assert_close(found[1][0], found[0][0], **NEAR)
    assert sum(bool(grad.any()) for grad in found[0][1]) > 60
    for fused, hooked in zip(found[1][1], found[0][1], strict=True):
        torch.testing.assert_close(fused, hooked, **NEAR)


def test_what_texts_begin_with_alike_is_found_within_a_context() -> None:
    samples = [_alike(0), _alike(1), _asked(1, 33, 7)]
    assert alike(make_batch(samples, ())) == [(0, 4, 17), (4, 8, 17), (8, 9, 0)]
    same = Running(_ids(Random(3), 30), 24)
    apart = [Sample(torch.arange(9), (same,)), Sample(torch.arange(9), (same, same))]
    assert alike(make_batch(apart, ())) == [(0, 1, 0), (1, 3, 23)]


def test_what_texts_begin_with_alike_is_read_once(
    steps: tuple[TrainingStep, FusedStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    run = fused_module.run_layer

    def count(layer: Any, hidden: torch.Tensor, *rest: Any, **more: Any) -> Any:
        read.append(len(hidden))
        return run(layer, hidden, *rest, **more)

    monkeypatch.setattr(fused_module, "run_layer", count)
    with torch.no_grad():
        steps[1].logits(make_batch([_alike(0)], ()), None)
    assert set(read) == {17 + 3 + 5 + 3 + 8 + 3 + 3 + 7}


def test_without_slots_it_is_the_decoder_alone(steps: tuple[TrainingStep, FusedStep]) -> None:
    batch = make_batch([_asked(0, 40, 9, 6)], ())
    with torch.no_grad():
        hooked, fused = (step.logits(batch, step.inject(batch)) for step in steps)
    torch.testing.assert_close(fused, hooked, **NEAR)


def test_updates_are_merged_anew_after_a_step(steps: tuple[TrainingStep, FusedStep]) -> None:
    step = steps[1]
    before = step.roles
    assert step.roles is before
    with torch.no_grad():
        next(iter(step.model.adapter.parameters())).add_(1.0)
    assert step.roles is not before


def test_a_text_along_the_context_sees_the_chunks_before_it_only(
    steps: tuple[TrainingStep, FusedStep],
) -> None:
    sample = _along(0)
    other = Sample(torch.cat((sample.context[:32], sample.context[:16])), sample.running)
    cut = fixed_cut(48, PLAN, 2)
    with torch.no_grad():
        rows = []
        for one in (sample, other):
            batch = make_batch([one], [cut])
            rows.append(steps[1].logits(batch, steps[1].inject(batch)).view(3, 9, -1))
    torch.testing.assert_close(rows[0][:2], rows[1][:2])
    assert not torch.allclose(rows[0][2], rows[1][2])


def test_one_reading_teaches_all_texts_along_a_context(model: SharedLLM) -> None:
    sample = _along(0)
    batch = make_batch([sample], [fixed_cut(48, PLAN, 2)], teachers=True)
    assert len(batch.teachers) == 1
    taught = teach(model, batch, Objective(distillation=1.0, top_k=3))
    expected = []
    for text in sample.running:
        assert text.sees is not None
        read = torch.cat((sample.context[: text.sees], text.tokens))
        with torch.no_grad():
            logits = model.base(input_ids=read[None]).logits[0, text.sees : -1].float()
        expected.append(logits.log_softmax(-1).topk(3).values)
    torch.testing.assert_close(taught.log_probs, torch.cat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_other_layers_do_not_fit(architecture: str, tiny_base: Callable[..., Any]) -> None:
    model = _adapted(tiny_base(architecture, "float64"))
    assert not fits(model)
    model.detach_hooks()


def test_only_a_cpu_fits(tiny_base: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = _adapted(tiny_base(dtype="float64"))
    assert fits(model)
    monkeypatch.setattr(SharedLLM, "device", torch.device("cuda"))
    assert not fits(model)
    model.detach_hooks()


def test_cross_attention_does_not_fit(tiny_base: Callable[..., Any]) -> None:
    config = AdapterConfig(form="cross", injected_layers=2, geometry=PLAN, decoder_rank=4)
    model = _adapted(tiny_base(dtype="float64"), config)
    assert not fits(model)
    model.detach_hooks()


def test_a_weight_laid_out_once_multiplies_as_ever() -> None:
    torch.manual_seed(0)
    weight, states = torch.randn(48, 32).bfloat16(), torch.randn(5, 32).bfloat16()
    expected = states.float() @ weight.float().T
    torch.testing.assert_close(product(weight)(states).float(), expected, rtol=0.02, atol=0.1)
