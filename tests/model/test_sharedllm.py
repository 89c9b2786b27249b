"""The invariants of self-injection, on random models of four architectures in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from shared_samples import (
    GEOMETRY,
    attached,
    compress,
    greatest,
    ids,
    picked,
    random_slots,
    small_base,
    use,
)
from torch import Tensor
from transformers import DynamicCache

from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import Compressor
from sharedcli.model.node_slots import assemble
from sharedcli.model.sharedllm import SharedLLM, pad_right
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry

FORMS = ("joint", "cross")
MODES = ("chunk_only", "local_plus_chunk", "local_only", "document")
ALL_MODES = (*MODES, "slot_order")
SCALINGS: list[dict[str, Any]] = [
    {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "rope_theta": 1e4},
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
        "rope_theta": 1e4,
    },
]


def whole_chunk(model: SharedLLM, context: Tensor) -> CompressedKV:
    """One chunk at ratio 1: every token's own key and value, none left out."""
    tokens = len(context)
    tree = ContextTree(tokens, TreeGeometry(2 * tokens, 1, tokens))  # its root is half full
    encoded = model.encode(context[None])
    place = torch.arange(tokens)[None]
    root = tree.root(0)
    assert root.tokens == tokens
    return CompressedKV(
        encoded.keys,
        encoded.values,
        torch.zeros_like(place),
        place,
        place,
        torch.tensor([1]),
        torch.tensor([tokens]),
    )


def layer_outputs(base: Any, call: Any) -> list[Tensor]:
    """The hidden states [B, T, E] after each layer while ``call`` runs."""
    found: list[Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _m, _a, output: found.append(output))
        for layer in base.model.layers
    ]
    call()
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_ratio_one_at_true_places_is_full_attention_in_the_injected_layers(
    any_base: Any, layers: int
) -> None:
    base, context, text = any_base.model, ids(13), ids(7, 1)
    options = {"injected_layers": layers, "key_position_mode": "document", "sink_tokens": 0}
    with attached(base, **options) as model:
        injected = model.prepare(whole_chunk(model, context))
        found = layer_outputs(base, lambda: model(text[None], injected))
        logits = model(text[None], injected)
    full = layer_outputs(base, lambda: base(torch.cat((context, text))[None]))
    for layer in range(layers):
        assert greatest(found[layer], full[layer][:, 13:]) < 1e-5
    expected = base(torch.cat((context, text))[None]).logits[:, 13:]
    if layers == 4:
        assert greatest(logits, expected) < 1e-5
    else:  # above, the context is out of sight
        assert greatest(found[layers], full[layers][:, 13:]) > 1e-2


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: scaling["rope_type"])
def test_scaled_rotations_give_full_attention_too(scaling: dict[str, Any]) -> None:
    base = small_base(rope_parameters=scaling, max_position_embeddings=64)
    context, text = ids(13), ids(7, 1)
    with attached(base, injected_layers=3, key_position_mode="document", sink_tokens=0) as model:
        logits = model(text[None], model.prepare(whole_chunk(model, context)))
    expected = base(torch.cat((context, text))[None]).logits[:, 13:]
    assert greatest(logits, expected) < 1e-4


def test_a_tree_of_ratio_one_reaches_full_attention_in_the_first_layer() -> None:
    """Nodes are read on their own, so only the first layer's slots have the whole context's."""
    base, context, text = small_base(), ids(16), ids(7, 1)
    geometry = TreeGeometry(16, 1, 8)
    options = {
        "injected_layers": 1,
        "key_position_mode": "document",
        "sink_tokens": 0,
        "geometry": geometry,
    }
    with attached(base, **options) as model:
        injected = model.prepare(compress(model, context))
        found = layer_outputs(base, lambda: model(text[None], injected))
    full = layer_outputs(base, lambda: base(torch.cat((context, text))[None]))
    assert greatest(found[0], full[0][:, 16:]) < 1e-5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("chunks", [1, 127, 128, 300])
def test_reading_at_once_equals_reading_all_but_one_token_and_then_that(
    form: Any, mode: Any, chunks: int
) -> None:
    base = small_base()
    with attached(base, form=form, key_position_mode=mode, used=True, decoder_rank=2) as model:
        injected = model.prepare(random_slots(model, chunks, slots_per_chunk=1))
        for length in (1, 2, 9):
            text = ids(length)[None]
            whole = model(text, injected)
            cache = DynamicCache(config=base.config)
            if length > 1:
                model(text[:, :-1], injected, past=cache)
            last = model(text[:, -1:], injected, past=cache, seen=length - 1)
            assert greatest(last[:, -1], whole[:, -1]) < 1e-9
            assert cache.get_seq_length() == length  # slots stay outside


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_slots_is_of_no_account_and_their_places_are(
    architecture: str, form: Any, mode: Any
) -> None:
    base, text = small_base(architecture), ids(9)[None]
    options = {"form": form, "key_position_mode": mode, "used": True}
    with attached(base, **options) as model:
        slots = compress(model, ids(48))
        logits = model(text, model.prepare(slots))
        order = torch.randperm(slots.slots, generator=torch.Generator().manual_seed(0))
        assert greatest(model(text, model.prepare(picked(slots, order))), logits) < 1e-9
        if mode in ("chunk_only", "local_plus_chunk"):
            swapped = replace(slots, chunk=torch.tensor([1, 0, 2])[slots.chunk])
            assert greatest(model(text, model.prepare(swapped)), logits) > 1e-3
        if mode == "document":
            moved = replace(slots, place=slots.place.flip(1))
            assert greatest(model(text, model.prepare(moved)), logits) > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_only_distances_between_chunks_and_queries_count(form: Any) -> None:
    base, text = small_base(), ids(9)[None]
    with attached(base, form=form, used=True) as model:
        slots = compress(model, ids(48))
        logits = model(text, model.prepare(slots))
        for shift in (1, 40):
            moved = replace(slots, chunk=slots.chunk + shift, chunks=slots.chunks + shift)
            assert greatest(model(text, model.prepare(moved)), logits) < 1e-4
        further = replace(slots, chunks=slots.chunks + 1)
        assert greatest(model(text, model.prepare(further)), logits) > 1e-3


def test_in_the_papers_mode_a_slot_does_not_know_its_place_in_the_chunk() -> None:
    base, text = small_base(), ids(9)[None]
    for mode, differs in (("chunk_only", False), ("local_only", True)):
        with attached(base, key_position_mode=mode) as model:
            slots = random_slots(model, 3)
            other = replace(slots, local=2 * slots.local)
            logits = [model(text, model.prepare(one)) for one in (slots, other)]
            assert (greatest(*logits) > 1e-3) is differs


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_batch_of_different_contexts_equals_single_ones(
    architecture: str, form: Any, mode: Any
) -> None:
    base = small_base(architecture)
    contexts = [ids(40), ids(5, 1), torch.empty(0, dtype=torch.long)]
    texts = torch.stack([ids(9, seed) for seed in range(3)])
    ranks = {"compressor_rank": 2, "decoder_rank": 2, "slot_bias": True}
    with attached(base, form=form, key_position_mode=mode, used=True, **ranks) as model:
        injected = model.prepare(compress(model, *contexts))
        together = model(texts, injected)
        cache = DynamicCache(config=base.config)
        model(texts[:, :6], injected, past=cache)
        decoded = [
            model(texts[:, i : i + 1], injected, past=cache, seen=i)[:, 0] for i in range(6, 9)
        ]
        assert greatest(torch.stack(decoded, 1), together[:, 6:]) < 1e-9
        for row, context in enumerate(contexts):
            alone = model(texts[row : row + 1], model.prepare(compress(model, context)))
            assert greatest(together[row : row + 1], alone) < 1e-6
        without = model(texts[2:])
    assert greatest(together[2:], without) < 1e-9
    assert together.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_one_context_serves_a_batch_of_texts(form: Any) -> None:
    base, texts = small_base(), torch.stack([ids(9), ids(9, 1)])
    with attached(base, form=form, slot_bias=True, used=True) as model:
        injected = model.prepare(compress(model, ids(40)))
        together = model(texts, injected)
        for row in range(2):
            assert greatest(together[row : row + 1], model(texts[row : row + 1], injected)) < 1e-9


@pytest.mark.parametrize("form", FORMS)
def test_the_same_call_gives_the_same_bits(form: Any) -> None:
    base = small_base(dtype=torch.float32)
    results = []
    for _ in range(2):
        with attached(base, form=form, used=True, decoder_rank=2) as model:
            model.adapter.float()
            results.append(model(ids(9)[None], model.prepare(compress(model, ids(40)))))
    assert torch.equal(*results)


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_is_as_near_to_float32_as_the_base_is(form: Any) -> None:
    text, logits, plain = ids(9)[None], [], []
    for dtype in (torch.float32, torch.bfloat16):
        base = small_base(dtype=dtype)
        plain.append(base(text).logits.float())
        with attached(base, form=form, used=True, slot_bias=True) as model:
            model.adapter.float()
            out = model(text, model.prepare(compress(model, ids(40))))
            assert out.dtype == dtype
            logits.append(out.float())
    base_error = (plain[0] - plain[1]).norm() / plain[0].norm()
    assert (logits[0] - logits[1]).norm() / logits[0].norm() < 2 * base_error
    assert base_error < 0.1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
def test_recomputed_layers_give_the_same_gradients(form: Any, architecture: str) -> None:
    base, text = small_base(architecture), ids(9)[None]
    ranks = {"compressor_rank": 2, "decoder_rank": 3, "slot_bias": True}
    geometry = TreeGeometry(16, 2, 2, slot_choice="pooled")
    with attached(base, form=form, geometry=geometry, used=True, **ranks) as model:

        def gradients() -> list[Tensor]:
            model.adapter.zero_grad()
            injected = model.prepare(compress(model, ids(40)))
            model(text, injected).square().mean().backward()
            model.encode(text)  # a later call in the other role must not matter
            return [p.grad.clone() for p in model.adapter.parameters() if p.grad is not None]

        model.train()
        expected = gradients()
        calls: list[int] = []
        handle = base.model.layers[0].mlp.register_forward_hook(lambda *_: calls.append(1))
        model.checkpoint_layers()
        found = gradients()
        assert len(calls) > 4  # layers did run again
        handle.remove()
        model.checkpoint_layers(False)
        model.eval()
        assert len(found) == len(expected) > 10
        for one, other in zip(found, expected, strict=True):
            assert greatest(one, other) < 1e-10
        assert any(gradient.any() for gradient in expected)


@pytest.mark.parametrize("form", FORMS)
def test_what_trains_gets_a_gradient_and_the_base_none(form: Any) -> None:
    base, text = small_base(), ids(9)[None]
    ranks = {"compressor_rank": 2, "decoder_rank": 2, "slot_bias": True}
    geometry = TreeGeometry(16, 2, 2, slot_choice="pooled")
    with attached(base, form=form, geometry=geometry, **ranks) as model:
        model(text, model.prepare(compress(model, ids(40)))).square().mean().backward()
        first = {n for n, p in model.adapter.named_parameters() if p.grad is not None}
        moved = {n for n in first if model.adapter.get_parameter(n).grad.any()}  # type: ignore[union-attr]
        assert not any(name.endswith(".down") for name in moved)  # behind a zero matrix
        names = {n for n, _ in model.adapter.named_parameters()}
        decoder = {n for n in names if n.startswith("decoder") and n.endswith(".up")}
        assert decoder == {n for n in moved if n.startswith("decoder")}
        if form == "joint":
            assert {"slot_bias", "pool_query"} <= moved
        else:
            assert "cross.0.gate" in moved
        use(model.adapter)
        model.adapter.zero_grad()
        model(text, model.prepare(compress(model, ids(40)))).square().mean().backward()
        # All but the compressor's parts above its last key and value, which nothing reads.
        for name, parameter in model.adapter.named_parameters():
            last = name.startswith("compressor.updates.1_") and "_k_" not in name
            if not (last and "_v_" not in name):
                assert parameter.grad is not None, name
                assert parameter.grad.any(), name
    assert all(parameter.grad is None for parameter in base.parameters())


def test_the_sink_sees_no_slots_in_prefill_decoding_and_padding() -> None:
    base, text = small_base(), ids(6)[None]
    with attached(base, sink_tokens=2) as model:
        injected = model.prepare(compress(model, ids(40)))
        plain = model(text)
        read = model(text, injected)
        assert greatest(read[:, :2], model(text, replace(injected, keys=()))[:, :2]) < 1e-9
        assert greatest(read[:, 2:], plain[:, 2:]) > 1e-3
        cache = DynamicCache(config=base.config)
        steps = [
            model(text[:, i : i + 1], injected, past=cache, seen=i) for i in range(text.shape[1])
        ]
        assert greatest(torch.cat(steps, 1), read) < 1e-9
        padded = torch.nn.functional.pad(text, (3, 0))
        mask = torch.tensor([[0, 0, 0, *[1] * 6]])
        assert greatest(model(padded, injected, attention_mask=mask)[:, 3:], read) < 1e-9


@pytest.mark.parametrize("form", FORMS)
def test_an_adapter_learns_to_read_its_slots(form: Any) -> None:
    """The text alone cannot tell what follows: only the right context can."""
    base = small_base(num_hidden_layers=2, dtype=torch.float32)
    answers = [ids(8, seed) for seed in range(8)]
    contexts = [answer.repeat_interleave(2) for answer in answers]
    text = torch.full((8, 2), 95)  # the first is the sink, which sees no slot
    wanted = torch.stack([answer[0] for answer in answers])
    with attached(base, form=form, decoder_rank=8, compressor_rank=8) as model:
        model.adapter.float()
        optimizer = torch.optim.Adam(model.adapter.parameters(), lr=1e-2)

        def loss(order: list[int]) -> Tensor:
            injected = model.prepare(compress(model, *(contexts[i] for i in order)))
            return torch.nn.functional.cross_entropy(model(text, injected)[:, -1], wanted)

        before = loss(list(range(8))).item()
        for _ in range(50):
            optimizer.zero_grad()
            loss(list(range(8))).backward()
            optimizer.step()
        with torch.no_grad():
            real, shuffled = float(loss(list(range(8)))), float(loss([*range(1, 8), 0]))
            logits = model(text)[:, -1]
            without = float(torch.nn.functional.cross_entropy(logits, wanted))
    assert real < 0.6 < 0.25 * before  # the final norm bounds how sure it can be
    assert real + 1 < min(shuffled, without)


def test_slots_for_another_number_of_layers_are_refused() -> None:
    base = small_base()
    with attached(base, injected_layers=3) as deep, attached(base, injected_layers=2) as shallow:
        slots = compress(deep, ids(16))
        with pytest.raises(UsageError, match="for 3 injected layers, the adapter has 2"):
            shallow.prepare(slots)


def test_search_vectors_exist_without_injection() -> None:
    base = small_base()
    with attached(base, injected_layers=0, summary_layer=2) as model:
        encoded = model.encode(ids(9)[None])
        assert encoded.keys.shape == (0, 1, 2, 9, 8)
        hidden = base(ids(9)[None], output_hidden_states=True).hidden_states
        assert greatest(encoded.states, hidden[2]) < 1e-9
        tree = ContextTree(16, GEOMETRY)
        slots = Compressor(model).compress_chunks(ids(16), tree, [0])[0]
        assert model.prepare(assemble([slots])) is None


def test_right_padding_does_not_reach_the_compressors_output() -> None:
    with attached(small_base()) as model:
        both = model.encode(pad_right([ids(9), ids(5, 1)]))
        alone = model.encode(ids(5, 1)[None])
        assert greatest(both.keys[:, 1:, :, :5], alone.keys) < 1e-10
        assert greatest(both.states[1:, :5], alone.states) < 1e-10


def test_a_base_that_rotates_otherwise_is_refused_and_left_as_it_was() -> None:
    base = small_base("Ernie4_5")  # of Llama's build, but turning neighbouring dimensions
    plain = base(ids(9)[None]).logits
    with pytest.raises(UsageError, match=r"ernie4_5 models rotate their keys in a way"):
        SharedLLM(base, Adapter(AdapterConfig(injected_layers=2, geometry=GEOMETRY), base))
    assert torch.equal(base(ids(9)[None]).logits, plain)
    assert not any(module._forward_hooks for module in base.modules())


def test_one_copy_of_the_weights_serves_both_roles() -> None:
    base = small_base()
    before = {id(parameter) for parameter in base.parameters()}
    with attached(base, form="joint") as model:
        assert {id(parameter) for parameter in model.parameters()} == before


def test_slots_leave_a_quarter_of_the_window_to_running_text(tiny_base: Any) -> None:
    base = tiny_base("llama", "float64").model
    window = base.config.max_position_embeddings
    count = window  # more slots than their room has positions
    head = base.config.hidden_size // base.config.num_attention_heads
    values = torch.zeros(2, 1, base.config.num_key_value_heads, count, head, dtype=torch.float64)
    places = torch.arange(count)[None]
    total = torch.tensor([count])
    slots = CompressedKV(values, values, places, places, places, total, total)
    with attached(base, injected_layers=2, form="joint", key_position_mode="slot_order") as model:
        injected = model.prepare(slots)
    assert injected is not None
    assert injected.start.tolist() == [window * 3 // 4] == [model.slot_room]
