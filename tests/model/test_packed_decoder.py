"""The packed decoder against the model's own forward pass, and against itself without drafts."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from shared_samples import attached, greatest, ids, random_slots, small_base
from torch import Tensor

from sharedcli.model.decoder import Decoder, Sampling
from sharedcli.model.injected import InjectedKV
from sharedcli.model.packed_decoder import ROWS, PackedDecoder, PackedStream, norm_floor, rms_norm
from sharedcli.model.sharedllm import SharedLLM

NEVER: frozenset[int] = frozenset()
BASES: dict[str, dict[str, Any]] = {
    "Llama": {"attention_bias": True, "mlp_bias": True},
    "Mistral": {"sliding_window": None},
    "Qwen2": {},
    "Qwen3": {},
}
# Sizes that the packed kernels take.
PACKABLE = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128, "head_dim": 16}


def exact(base: Any) -> Any:
    """Let the base's norms compute in float64: those of ``transformers`` round to float32."""
    for module in base.modules():
        if type(module).__name__.endswith("RMSNorm"):
            size, epsilon = module.weight.shape, module.variance_epsilon
            module.forward = partial(
                torch.nn.functional.rms_norm,
                normalized_shape=size,
                weight=module.weight,
                eps=epsilon,
            )
    return base


def packed(model: SharedLLM, injected: InjectedKV | None, weights: Any = "plain") -> PackedStream:
    return PackedDecoder.of(model, weights).stream(injected)


@torch.inference_mode()
def read(stream: PackedStream, text: Tensor, *parts: int) -> Tensor:
    """Logits at the last token of each part."""
    return torch.cat([stream.extend(part) for part in text.split(list(parts))])


@pytest.mark.parametrize("architecture", BASES)
@pytest.mark.parametrize("chunks", [0, 3])
def test_logits_are_the_models_own(architecture: str, chunks: int) -> None:
    base = exact(small_base(architecture, **BASES[architecture]))
    with attached(base, used=True, decoder_rank=2, sink_tokens=2) as model:
        injected = model.prepare(random_slots(model, chunks)) if chunks else None
        text = ids(83)
        whole = model(text[None], injected)[0]
        parts = [70, 1, 1, 4, 2, 1, 3, 1]
        ends = torch.tensor(parts).cumsum(0) - 1
        assert greatest(read(packed(model, injected), text, *parts), whole[ends]) < 1e-6
        few = [1, 2, 4, 1]  # a prompt of a few tokens, some of them sinks
        ends = torch.tensor(few).cumsum(0) - 1
        assert greatest(read(packed(model, injected), text[:8], *few), whole[ends]) < 1e-6


@pytest.mark.parametrize(
    "rotation",
    [
        {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
        {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0},
    ],
)
def test_scaled_rotations(rotation: dict[str, Any]) -> None:
    base = exact(small_base(rope_parameters=rotation, max_position_embeddings=128))
    with attached(base, used=True) as model:
        injected = model.prepare(random_slots(model, 3))
        whole = model(ids(9)[None], injected)[0]
        assert greatest(read(packed(model, injected), ids(9), 7, 1, 1), whole[[6, 7, 8]]) < 1e-6


def test_full_rank_updates_are_merged() -> None:
    with attached(exact(small_base()), used=True, full_layers=True, decoder_rank=2) as model:
        whole = model(ids(9)[None])[0]
        assert greatest(read(packed(model, None), ids(9), 8, 1), whole[[7, 8]]) < 1e-6


def test_text_may_grow_beyond_the_room_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharedcli.model.packed_decoder.AHEAD", 1)
    monkeypatch.setattr("sharedcli.model.packed_decoder.BLOCK", 48)
    with attached(exact(small_base()), used=True) as model:
        injected = model.prepare(random_slots(model, 3))
        text = ids(150)
        parts = [100] + [1] * 50
        ends = torch.tensor(parts).cumsum(0) - 1
        whole = model(text[None], injected)[0, ends]
        assert greatest(read(packed(model, injected), text, *parts), whole) < 1e-6


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_do_not_depend_on_what_is_read_with_them(weights: str, dtype: torch.dtype) -> None:
    base = small_base(dtype=dtype, num_attention_heads=4, **PACKABLE)
    with attached(base, used=True, decoder_rank=2) as model:
        model.adapter.to(dtype)
        injected = model.prepare(random_slots(model, 3))
        text = ids(140)
        one, many = packed(model, injected, weights), packed(model, injected, weights)
        with torch.inference_mode():
            one.extend(text[:50])
            many.extend(text[:50])
            while many.seen < 130:
                count = many.room()
                assert 1 <= count <= ROWS
                part = text[many.seen : many.seen + count]
                together = many.extend(part, count)
                alone = torch.cat([one.extend(token[None]) for token in part])
                assert together.equal(alone)


@pytest.mark.parametrize("weights", ["plain", "int8", "int4"])
@pytest.mark.parametrize("how", [{}, {"temperature": 1.2, "top_p": 0.9, "seed": 3}])
def test_text_is_the_same_with_drafts_and_without(
    weights: Any, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharedcli.model.prompt_lookup.LENGTHS", (1,))  # to draft all the time
    dtype = torch.float64 if weights == "plain" else torch.bfloat16
    base = small_base(dtype=dtype, **PACKABLE)
    with attached(base, used=True, decoder_rank=2) as model:
        model.adapter.to(dtype)
        injected = model.prepare(random_slots(model, 3))
        prompt = ids(6).repeat(8)  # repeats itself, so that drafts are made
        said = {}
        for drafts in (True, False):
            decoder = Decoder(model, injected, weights, drafts=drafts)
            said[drafts] = list(decoder.generate(prompt, NEVER, 60, Sampling(**how)))
            assert len(said[drafts]) == 60
            assert bool(decoder.drafted) == drafts
            assert decoder.accepted <= decoder.drafted
        assert said[True] == said[False]


def test_eight_bits_stay_near_the_model() -> None:
    base = small_base(dtype=torch.bfloat16, initializer_range=0.1, **PACKABLE)
    with attached(base) as model:
        model.adapter.to(torch.bfloat16)
        text = ids(40)
        whole = model(text[None])[0, 30:].float().log_softmax(-1)
        stream = packed(model, None, "int8")
        with torch.inference_mode():
            stream.extend(text[:30])
            steps = torch.cat([stream.extend(token[None]) for token in text[30:]])
        kept = (steps.log_softmax(-1) - whole).std() / whole.std()
        assert 0 < kept < 0.05


def test_packed_weights_are_kept_until_the_adapter_changes() -> None:
    with attached(small_base(), used=True, decoder_rank=2) as model:
        first = PackedDecoder.of(model, "auto")
        assert first.kind == "plain"
        assert PackedDecoder.of(model, "auto") is first
        with torch.no_grad():
            next(iter(model.adapter.decoder.parameters())).mul_(2)
        assert PackedDecoder.of(model, "auto") is not first
        assert len(model.packed) == 1


def test_the_norm_is_the_field_s() -> None:
    states, weight = torch.randn(3, 16, dtype=torch.float64), torch.randn(16, dtype=torch.float64)
    expected = torch.nn.functional.rms_norm(states, (16,), weight, 1e-2)
    floor = norm_floor(16, 1e-2, torch.float64)
    assert greatest(rms_norm(states, weight * 4, floor), expected) < 1e-12
