"""Two roles of one base: each role's updates act in its own calls, and nowhere else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from shared_samples import attached, compress, greatest, ids, small_base

from sharedcli.model.lora import LowRank, RoleLoRA, linear_layers


def merged(base: Any, updates: RoleLoRA) -> Any:
    """A copy of ``base`` with the updates added to its weights."""
    clone = copy.deepcopy(base)
    for index, layer in enumerate(clone.model.layers):
        for name, linear in linear_layers(layer):
            if (key := f"{index}_{name}") in updates.updates:
                update: Any = updates.updates[key]
                linear.weight.data += update.scale * (update.up @ update.down).detach()
    return clone


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Qwen2", "Qwen3"])
def test_each_role_is_the_base_with_that_roles_updates_merged(architecture: str) -> None:
    base, tokens = small_base(architecture), ids(20)[None]
    plain = base(tokens).logits
    untouched = copy.deepcopy(base)
    with attached(base, compressor_rank=2, decoder_rank=3, used=True) as model:
        decoder = merged(untouched, model.adapter.decoder)
        compressor = merged(untouched, model.adapter.compressor)
        assert greatest(model(tokens), decoder(tokens).logits) < 1e-9
        assert greatest(model(tokens), plain) > 1e-2
        with attached(compressor, injected_layers=2) as other:
            for name in ("keys", "values", "states"):
                found, expected = model.encode(tokens), other.encode(tokens)
                assert greatest(getattr(found, name), getattr(expected, name)) < 1e-9
        assert torch.equal(model(tokens, role=None), plain)
        assert torch.equal(base(tokens).logits, plain)
    assert torch.equal(base(tokens).logits, plain)


def test_updates_start_at_zero() -> None:
    base, tokens = small_base(), ids(20)[None]
    with attached(base, compressor_rank=2, decoder_rank=2) as model:
        assert torch.equal(model(tokens), base(tokens).logits)


@pytest.mark.parametrize("part", ["self_attn", "mlp", "mlp.up_proj", "post_attention_layernorm"])
@pytest.mark.parametrize("form", ["joint", "cross"])
def test_a_call_that_failed_half_way_leaves_nothing_behind(part: str, form: Any) -> None:
    base, tokens = small_base(), ids(12)[None]
    plain = base(tokens).logits
    with attached(base, form=form, compressor_rank=2, decoder_rank=2, used=True) as model:
        injected = model.prepare(compress(model, ids(16)))
        expected, slots = model(tokens, injected), model.encode(tokens).keys

        def fail(*_: Any) -> None:
            raise MemoryError

        handle = base.model.layers[1].get_submodule(part).register_forward_pre_hook(fail)
        for call in (lambda: model(tokens, injected), lambda: model.encode(tokens)):
            with pytest.raises(MemoryError):
                call()
        handle.remove()
        assert torch.equal(base(tokens).logits, plain)
        assert torch.equal(model.encode(tokens).keys, slots)
        assert torch.equal(model(tokens, injected), expected)


def test_after_a_call_single_modules_are_the_plain_ones() -> None:
    base, tokens = small_base(), ids(12)[None]
    mlp, states = base.model.layers[0].mlp, torch.randn(1, 3, 32, dtype=torch.float64)
    plain = mlp(states)
    with attached(base, decoder_rank=2, used=True) as model:
        model(tokens)
        assert torch.equal(mlp(states), plain)


def test_two_adapters_on_one_base_act_in_their_own_calls_only() -> None:
    base, tokens = small_base(), ids(12)[None]
    plain, options = base(tokens).logits, {"form": "cross", "decoder_rank": 2, "used": True}
    with attached(base, **options) as first:
        injected = first.prepare(compress(first, ids(16)))
        alone = first(tokens, injected)
        with attached(base, **options) as second:
            with torch.no_grad():
                for parameter in second.adapter.parameters():
                    parameter.mul_(-1.5)
            assert torch.equal(first(tokens, injected), alone)
            assert greatest(second(tokens, injected), alone) > 1e-3
            assert torch.equal(base(tokens).logits, plain)
        assert torch.equal(first(tokens, injected), alone)
        assert base.config._attn_implementation == "sharedllm_sdpa"
    assert base.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in base.modules())
    assert not any(module._forward_pre_hooks for module in base.modules())


def test_an_adapter_made_on_a_base_in_use_copies_no_hooks() -> None:
    base = small_base()
    with attached(base, form="cross"), attached(base, form="cross") as second:
        for module in second.adapter.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks


def test_low_rank_updates_count_in_their_scale() -> None:
    update = LowRank(6, 4, 2, scale=3.0).double()
    torch.nn.init.normal_(update.up)
    states = torch.randn(5, 6, dtype=torch.float64)
    assert greatest(update(states), 3 * states @ update.down.T @ update.up.T) < 1e-12


def test_a_rank_of_zero_has_no_parameter() -> None:
    with attached(small_base()) as model:
        assert not list(model.adapter.parameters())
