"""Cross injection: the equations written out, and nothing where nothing should be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from shared_samples import attached, compress, greatest, ids, random_slots, small_base
from torch import Tensor

from sharedcli.errors import UsageError
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.cross import dense_weight
from sharedcli.model.injected import InjectedKV
from sharedcli.model.sharedllm import SharedLLM


def by_hand(model: SharedLLM, tokens: Tensor, slots: CompressedKV) -> Tensor:
    """Logits of the paper's section 3.3, one head at a time, without hooks."""
    backbone: Any = model.base.model
    config, rotary = model.base.config, model.rotary
    states = backbone.embed_tokens(tokens)
    angles = backbone.rotary_emb(states, torch.arange(tokens.shape[1])[None])
    length, dim = tokens.shape[1], config.head_dim
    group = config.num_attention_heads // config.num_key_value_heads
    causal = torch.full((length, length), -torch.inf, dtype=states.dtype).triu(1)[None, None]
    for number, layer in enumerate(backbone.layers):
        attended, _ = layer.self_attn(layer.input_layernorm(states), angles, causal)
        states = states + attended
        if number < model.injected_layers:
            cross: Any = model.adapter.cross[number]
            query = cross.q_proj(cross.norm(states)).view(1, length, -1, dim)
            if hasattr(layer.self_attn, "q_norm"):
                query = layer.self_attn.q_norm(query)
            read = []
            for head in range(config.num_attention_heads):
                place = slots.chunks[0].expand(length)
                q = rotary.rotate(query[0, :, head], place) * rotary.scaling
                k = rotary.rotate(slots.keys[number, 0, head // group], slots.chunk[0])
                weights = (q @ k.T / math.sqrt(dim)).softmax(-1)
                read.append(cross.gate[head] * weights @ slots.values[number, 0, head // group])
            states = states + torch.cat(read, -1)[None] @ cross.o_proj.weight.T
        states = states + layer.mlp(layer.post_attention_layernorm(states))
    return model.base.lm_head(backbone.norm(states))


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("Llama", {}),
        ("Llama", {"attention_bias": True}),
        ("Llama", {"rope_parameters": YARN | {"rope_theta": 1e4}}),
        ("Mistral", {}),
        ("Qwen2", {}),
        ("Qwen3", {}),
    ],
)
def test_layers_compute_the_papers_equations(architecture: str, config: dict[str, Any]) -> None:
    base, tokens = small_base(architecture, attn_implementation="eager", **config), ids(9)[None]
    with attached(base, form="cross", used=True) as model:
        slots = random_slots(model, 3)
        expected = by_hand(model, tokens, slots)
        assert greatest(model(tokens, model.prepare(slots)), expected) < 1e-4
        assert greatest(expected, base(tokens).logits) > 1e-1


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Qwen2", "Qwen3"])
def test_untrained_it_is_the_base_to_the_bit(architecture: str) -> None:
    bias = {"attention_bias": True} if architecture == "Llama" else {}
    base, tokens = small_base(architecture, **bias), ids(9)[None]
    with attached(base, form="cross", compressor_rank=2, decoder_rank=2) as model:
        injected = model.prepare(compress(model, ids(40)))
        assert injected is not None
        assert torch.equal(model(tokens, injected), base(tokens).logits)


def test_a_context_without_slots_reads_nothing_and_spoils_no_gradient() -> None:
    base, tokens = small_base(), torch.stack([ids(9), ids(9, 1)])
    with attached(base, form="cross", used=True) as model:
        slots = compress(model, ids(16), torch.empty(0, dtype=torch.long))
        injected = model.prepare(slots)
        assert injected is not None
        keys = tuple(key.clone().requires_grad_() for key in injected.keys)
        logits = model(tokens, replace(injected, keys=keys))
        assert greatest(logits[1:], base(tokens[1:]).logits) < 1e-12
        logits.square().sum().backward()
        for tensor in (*keys, *model.adapter.parameters()):
            assert tensor.grad is not None
            assert tensor.grad.isfinite().all()
        assert keys[0].grad is not None
        assert not keys[0].grad[1].any()


def test_gates_learn_first_and_the_rest_once_they_are_open() -> None:
    base, tokens = small_base(), ids(9)[None]
    with attached(base, form="cross") as model:
        injected = model.prepare(compress(model, ids(40)))

        def moved() -> set[str]:
            model.adapter.zero_grad()
            model(tokens, injected).square().sum().backward()
            grads = {name: p.grad for name, p in model.adapter.named_parameters()}
            return {n for n, grad in grads.items() if grad is not None and grad.any()}

        gates = {f"cross.{layer}.gate" for layer in range(2)}
        assert moved() == gates
        with torch.no_grad():
            for layer in range(2):
                model.adapter.get_parameter(f"cross.{layer}.gate").fill_(0.5)
        assert moved() == {name for name, _ in model.adapter.named_parameters()}
        assert all(parameter.grad is None for parameter in base.parameters())


@pytest.mark.parametrize("form", ["cross", "joint"])
def test_nothing_of_a_pass_is_kept_in_the_hooks(form: Any) -> None:
    base, tokens = small_base(), ids(9)[None]
    with attached(base, form=form, used=True) as model:
        model(tokens, model.prepare(random_slots(model, 2)))
        base(tokens)
        model.encode(tokens)
        assert model._cross._residual is None


def test_a_failed_self_attention_leaves_no_residual() -> None:
    base, tokens = small_base(), ids(9)[None]
    with attached(base, form="cross", used=True) as model:

        def fail(*_: Any) -> None:
            raise MemoryError

        handle = base.model.layers[0].self_attn.o_proj.register_forward_pre_hook(fail)
        with pytest.raises(MemoryError):
            model(tokens, model.prepare(random_slots(model, 2)))
        handle.remove()
        assert model._cross._residual is None


@pytest.mark.parametrize("adapter_dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
def test_bfloat16_bases_take_adapters_of_either_type(
    architecture: str, adapter_dtype: torch.dtype
) -> None:
    exact, half = small_base(architecture), small_base(architecture, torch.bfloat16)
    tokens = ids(9)[None]
    with attached(exact, form="cross", used=True) as model:
        slots = random_slots(model, 2)
        expected = model(tokens, model.prepare(slots))
        assert greatest(expected, exact(tokens).logits) > 0.1
        with attached(half, form="cross", used=True) as other:
            other.adapter.to(adapter_dtype)
            found = other(tokens, other.prepare(slots))
    assert found.dtype == torch.bfloat16
    assert (found.double() - expected).abs().mean() < 0.05 * expected.abs().mean()


class TestQuantizedBases:
    """Weights in four and eight bits, whose projections have to be read back."""

    @staticmethod
    def base(tiny_base: Any, kind: str) -> Any:
        pytest.importorskip("bitsandbytes")
        return tiny_base("llama", "float32", quantization=kind).model

    @pytest.mark.parametrize("kind", ["bnb-4bit", "bnb-8bit"])
    def test_dense_weights_do_what_the_quantized_layer_does(
        self, tiny_base: Any, kind: str
    ) -> None:
        linear = self.base(tiny_base, kind).model.layers[0].self_attn.q_proj
        states = torch.randn(5, 64)
        expected = linear(states)
        weight = dense_weight(linear)
        assert weight.shape == (64, 64)
        assert weight.is_floating_point()
        difference = (states @ weight.T.float() - expected).norm() / expected.norm()
        assert difference < 0.02  # both round: eight-bit layers their inputs, four-bit their sums

    @pytest.mark.parametrize("kind", ["bnb-4bit", "bnb-8bit"])
    @pytest.mark.parametrize("form", ["joint", "cross"])
    def test_both_roles_and_forms_run(self, tiny_base: Any, kind: str, form: Any) -> None:
        base, tokens = self.base(tiny_base, kind), ids(9)[None]
        plain = base(tokens).logits
        ranks = {"compressor_rank": 2, "decoder_rank": 2}
        with attached(base, form=form, used=True, **ranks) as model:
            logits = model(tokens, model.prepare(compress(model, ids(32))))
            assert logits.isfinite().all()
            assert greatest(logits, plain) > 1e-2
        assert torch.equal(base(tokens).logits, plain)
        with attached(base, form="cross") as model:
            injected = model.prepare(compress(model, ids(32)))
            assert isinstance(injected, InjectedKV)
            assert torch.equal(model(tokens, injected), plain)

    def test_layers_that_pass_no_gradient_are_not_trained_through(self, tiny_base: Any) -> None:
        base, tokens = self.base(tiny_base, "bnb-4bit"), ids(9)[None]
        with attached(base, decoder_rank=2, used=True) as model:
            model(tokens)
            weights = [getattr(module, "weight", None) for module in base.modules()]
            states = [getattr(weight, "quant_state", None) for weight in weights]
            if any(getattr(state, "packing_format_for_cpu", False) for state in states):
                with pytest.raises(UsageError, match="pass no gradients; train without"):
                    model.train()
            else:  # other processors use the same layout for both
                model.train()
                model(tokens).square().sum().backward()
                assert all(p.grad is not None for p in model.adapter.decoder.parameters())
            model.eval()
