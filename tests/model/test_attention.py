"""Joint injection: masks, implementations, and the base as it was."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from shared_samples import attached, compress, greatest, ids, random_slots, small_base
from torch import Tensor
from transformers import DynamicCache, StaticCache

from sharedcli.errors import UsageError
from sharedcli.model import block_attention
from sharedcli.model.attention import FLASH, _with_injection, attach, joint_mask
from sharedcli.model.injected import InjectedKV, LayerCall

# On the right: the stock eager function makes NaN of a float64 query that sees nothing.
PADDED = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0, 0], [1] * 9])


def kv(slots: int = 3, batch: int = 1, **fields: Any) -> InjectedKV:
    keys, values = torch.randn(2, batch, 2, slots, 8, dtype=torch.float64)
    return InjectedKV((keys,), (values,), None, True, torch.zeros(batch), **fields)


def query(length: int, batch: int = 1) -> Tensor:
    return torch.zeros(batch, 4, length, 8, dtype=torch.float64)


def test_slots_are_seen_by_all_and_the_text_causally() -> None:
    mask = joint_mask(query(3), 3, None, kv(2), 0)
    assert mask is not None
    assert mask[0, 0].int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_one_query_needs_no_mask_unless_slots_are_padded() -> None:
    assert joint_mask(query(1), 7, None, kv(2), 0) is None
    valid = torch.tensor([[True, False]])
    mask = joint_mask(query(1), 3, None, replace(kv(2), valid=valid), 0)
    assert mask is not None
    assert mask[0, 0].int().tolist() == [[1, 0, 1, 1, 1]]


def test_the_unused_rest_of_a_static_cache_is_not_seen() -> None:
    mask = joint_mask(query(2), 4, None, kv(1), 0)
    assert mask is not None
    assert mask[0, 0].int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]


def test_a_bias_counts_for_slots_only() -> None:
    bias = torch.arange(4.0, dtype=torch.float64)
    mask = joint_mask(query(1), 2, None, kv(2, bias=(bias,)), 0)
    assert mask is not None
    assert mask[0, :, 0].tolist() == [[h, h, 0, 0] for h in (0.0, 1.0, 2.0, 3.0)]


def test_additive_masks_stay_additive() -> None:
    lowest = torch.finfo(torch.float64).min
    own = torch.tensor([[0.0, lowest], [0.0, 0.0]], dtype=torch.float64)[None, None]
    mask = joint_mask(query(2), 2, own, kv(1), 0)
    assert mask is not None
    assert mask[0, 0].tolist() == [[0, 0, lowest], [0, 0, 0]]


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_nothing_injected_is_the_base_to_the_bit(architecture: str, kind: str) -> None:
    base, tokens = small_base(architecture, attn_implementation=kind), torch.stack([ids(9), ids(9)])
    plain = base(tokens).logits
    padded = base(tokens, attention_mask=PADDED, position_ids=_places()).logits
    for form in ("joint", "cross"):
        with attached(base, form=form, slot_bias=True) as model:
            nothing = model.prepare(compress(model, torch.empty(0, dtype=torch.long)))
            assert nothing is None
            assert torch.equal(model(tokens, nothing), plain)
            assert torch.equal(base(tokens).logits, plain)
            assert torch.equal(model(tokens, attention_mask=PADDED), padded)
        with attached(base, form=form, injected_layers=0) as model:
            assert torch.equal(model(tokens, model.prepare(random_slots(model, 3))), plain)
            assert torch.equal(model(tokens, model.prepare(compress(model, ids(40)))), plain)


def _places() -> Tensor:
    return (PADDED.cumsum(-1) - 1).clamp(min=0)


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("form", ["joint", "cross"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_sdpa_and_eager_agree(architecture: str, form: Any, bias: bool, padded: bool) -> None:
    tokens = torch.stack([ids(9), ids(9, 1)])
    options = {"form": form, "slot_bias": bias, "decoder_rank": 2, "used": True}
    logits = []
    for kind in ("sdpa", "eager"):
        with attached(small_base(architecture, attn_implementation=kind), **options) as model:
            slots = compress(model, ids(40), ids(17, 1)) if padded else compress(model, ids(40))
            mask = PADDED if padded else None
            logits.append(model(tokens, model.prepare(slots), attention_mask=mask))
    seen = PADDED.bool() if padded else slice(None)
    assert greatest(logits[0][seen], logits[1][seen]) < 1e-4  # eager takes its softmax in float32


@pytest.mark.parametrize("form", ["joint", "cross"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_blocks_and_the_stock_kernel_agree(
    form: Any, bias: bool, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = block_attention._in_blocks
    monkeypatch.setattr(
        block_attention, "_in_blocks", lambda *a, **o: (calls.append(1), real(*a, **o))[1]
    )
    base = small_base(dtype=torch.bfloat16)
    tokens = torch.stack([ids(9), ids(9, 1)])
    logits = []
    with attached(base, form=form, slot_bias=bias, used=True) as model, torch.inference_mode():
        slots = compress(model, ids(40), ids(17, 1)) if padded else compress(model, ids(40))
        mask = PADDED if padded else None
        for blocks in (True, False):
            monkeypatch.setattr(block_attention, "_is_faster", lambda blocks=blocks: blocks)
            calls.clear()
            logits.append(model(tokens, model.prepare(slots), attention_mask=mask).float())
            assert bool(calls) == blocks
    seen = PADDED.bool() if padded else slice(None)
    assert greatest(logits[0][seen], logits[1][seen]) < 0.05 * logits[1].abs().max()


@pytest.mark.parametrize("form", ["joint", "cross"])
@pytest.mark.parametrize("bias", [False, True])
def test_padding_of_running_text_changes_nothing(form: Any, bias: bool) -> None:
    base = small_base()
    short, long = ids(6), ids(9, 1)
    with attached(base, form=form, slot_bias=bias, used=True) as model:
        slots = [compress(model, ids(40)), compress(model, ids(17, 1))]
        injected = model.prepare(type(slots[0]).batch(slots))
        expected = [
            model(text[None], model.prepare(one))
            for text, one in zip((short, long), slots, strict=True)
        ]
        for left in (True, False):
            fill = torch.zeros(3, dtype=torch.long)
            row = torch.cat((fill, short) if left else (short, fill))
            mask = torch.ones(2, 9, dtype=torch.long)
            mask[0, slice(0, 3) if left else slice(6, 9)] = 0
            found = model(torch.stack([row, long]), injected, attention_mask=mask)
            assert found[mask.bool()].isfinite().all()
            assert greatest(found[0][mask[0].bool()], expected[0][0]) < 1e-6
            assert greatest(found[1], expected[1][0]) < 1e-6


@pytest.mark.parametrize("form", ["joint", "cross"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_static_cache_gives_what_a_growing_one_gives(form: Any, bias: bool) -> None:
    base, tokens = small_base(), ids(12)[None]
    with attached(base, form=form, slot_bias=bias, used=True) as model:
        injected = model.prepare(random_slots(model, 3))
        whole = model(tokens, injected)
        for cache in (DynamicCache(config=base.config), StaticCache(base.config, 20)):
            parts = []
            for start, end in ((0, 5), (5, 9), (9, 10), (10, 12)):
                part = model(tokens[:, start:end], injected, past=cache, seen=start)
                parts.append(part)
            assert greatest(torch.cat(parts, 1), whole) < 1e-10


def test_a_sliding_window_spares_the_slots() -> None:
    tokens = ids(12)[None]
    logits = {}
    for window in (None, 4, 1000):
        with attached(small_base("Mistral", sliding_window=window), used=True) as model:
            logits[window] = model(tokens, model.prepare(random_slots(model, 3)))
    assert torch.equal(logits[None], logits[1000])
    assert greatest(logits[None][:, :4], logits[4][:, :4]) < 1e-10
    assert greatest(logits[None][:, 4:], logits[4][:, 4:]) > 1e-3
    with attached(small_base("Mistral", sliding_window=4), used=True) as model:
        injected = model.prepare(random_slots(model, 3))
        cache = DynamicCache(config=model.base.config)
        parts = [model(tokens[:, :7], injected, past=cache)]
        parts += [model(tokens[:, i : i + 1], injected, past=cache, seen=i) for i in range(7, 12)]
        assert greatest(torch.cat(parts, 1), logits[4]) < 1e-10
        assert greatest(parts[-1], model(tokens)[:, -1:]) > 1e-3


def test_attention_of_another_kind_is_refused() -> None:
    base = small_base()
    base.config._attn_implementation_internal = "flex_attention"
    with pytest.raises(UsageError, match="attention of the kind flex_attention"):
        attach(base)


class TestFlashAttention:
    """What the stock flash attention function is handed; itself it needs a GPU."""

    @staticmethod
    def call(
        injected: InjectedKV | None,
        mask: Tensor | None = None,
        blind: Tensor | None = None,
        keys: int = 4,
        **options: Any,
    ) -> Any:
        seen: dict[str, Any] = {}

        def stock(module: Any, q: Tensor, k: Tensor, v: Tensor, mask: Any, **rest: Any) -> Any:
            seen.update(module=module, key=k, value=v, mask=mask, rest=rest)
            return v, None

        config = SimpleNamespace(_attn_implementation="sharedllm_fa2", hidden_size=32)
        module = SimpleNamespace(
            layer_idx=0, config=config, is_causal=True, num_key_value_groups=2, training=False
        )
        batch = 1 if mask is None else mask.shape[0]
        own = torch.ones(batch, 2, keys, 8, dtype=torch.float64)
        shared = LayerCall(None, "decoder", injected, blind=blind)
        generator = torch.Generator().manual_seed(0)
        q = torch.randn(batch, 4, 4, 8, generator=generator, dtype=torch.float64)
        forward = _with_injection(FLASH, stock)
        seen["output"] = forward(module, q, own, own, mask, shared=shared, **options)[0]  # type: ignore[arg-type]
        return SimpleNamespace(**seen)

    def test_it_is_called_under_its_own_name(self) -> None:
        seen = self.call(None)
        assert seen.module.config._attn_implementation == "flash_attention_2"
        assert seen.module.config.hidden_size == 32
        assert seen.module.is_causal
        assert "shared" not in seen.rest

    def test_slots_lie_in_front_and_need_no_mask(self) -> None:
        seen = self.call(kv(3))
        assert seen.key.shape == (1, 2, 7, 8)
        assert (seen.key[:, :, 3:] == 1).all()
        assert seen.mask is None

    def test_padded_slots_and_padded_text_become_one_mask(self) -> None:
        valid = torch.tensor([[True, True, False], [True, False, False]])
        text = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
        seen = self.call(replace(kv(3, 2), valid=valid), text)
        assert seen.mask.int().tolist() == [[1, 1, 0, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1, 1]]
        seen = self.call(kv(3, 2), text)
        assert seen.mask.int().tolist() == [[1, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]]

    @pytest.mark.parametrize("window", [None, 2])
    def test_what_it_cannot_do_is_left_to_sdpa(self, window: int | None) -> None:
        text = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
        bias = (torch.zeros(4, dtype=torch.float64),)
        injected = kv(3, 2, bias=bias)
        found = self.call(injected, text, sliding_window=window, scaling=1.0)
        assert not hasattr(found, "key")  # the stock function was not called
        own = (torch.arange(4)[:, None] >= torch.arange(4))[None, None]
        if window:
            own = own & (torch.arange(4)[:, None] - torch.arange(4) < window)
        own = own & text.bool()[:, None, None]
        mask = joint_mask(query(4, 2), 4, own, injected, 0)
        q = torch.randn(2, 4, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        ones = torch.ones(2, 2, 4, 8, dtype=torch.float64)
        expected = torch.nn.functional.scaled_dot_product_attention(
            q,
            torch.cat((injected.keys[0], ones), 2),
            torch.cat((injected.values[0], ones), 2),
            attn_mask=mask,
            scale=1.0,
            enable_gqa=True,
        )
        assert greatest(found.output, expected.transpose(1, 2)) < 1e-12

    @pytest.mark.parametrize("needs", ["sink", "window"])
    def test_a_sink_or_a_window_alone_is_left_to_sdpa_too(self, needs: str) -> None:
        blind = torch.tensor([[True, False, False, False]]) if needs == "sink" else None
        options = {"sliding_window": 2} if needs == "window" else {}
        injected = kv(3)
        found = self.call(injected, blind=blind, scaling=1.0, **options)
        assert not hasattr(found, "key")  # the stock function was not called
        own = (torch.arange(4)[:, None] >= torch.arange(4))[None, None]
        if needs == "window":
            own = own & (torch.arange(4)[:, None] - torch.arange(4) < 2)
        mask = joint_mask(query(4), 4, own, injected, 0, blind)
        assert greatest(found.output, self.expected(injected, mask, 4)) < 1e-12

    def test_what_is_left_to_sdpa_sees_the_cache(self) -> None:
        injected = kv(3, bias=(torch.zeros(4, dtype=torch.float64),))
        found = self.call(injected, keys=7, scaling=1.0)
        own = (torch.arange(4)[:, None] + 3 >= torch.arange(7))[None, None]
        mask = joint_mask(query(4), 7, own, injected, 0)
        assert greatest(found.output, self.expected(injected, mask, 7)) < 1e-12

    @staticmethod
    def expected(injected: InjectedKV, mask: Tensor | None, keys: int) -> Tensor:
        """Of the queries and own keys that ``call`` makes."""
        q = torch.randn(1, 4, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        own = torch.ones(1, 2, keys, 8, dtype=torch.float64)
        read = torch.nn.functional.scaled_dot_product_attention(
            q,
            torch.cat((injected.keys[0], own), 2),
            torch.cat((injected.values[0], own), 2),
            attn_mask=mask,
            scale=1.0,
            enable_gqa=True,
        )
        return read.transpose(1, 2)
