"""Joint injection: slots join the self-attention softmax of the lowest M layers.

Built on the attention interface of ``transformers``: each stock implementation (sdpa, eager,
flash_attention_2) is registered a second time under a name of ours that puts the injected keys and
values in front of the layer's own and then calls the stock function. So Llama, Mistral and Qwen
layers are used as they are, the key/value cache holds running text only, and a call without
injection is the stock call to the bit (except for blocks, see ``block_attention.py``). The
compressor's keys and values are taken at the same place.

The attention sink: a base dumps surplus attention on the first token of its text, which works
because that token, seeing only itself, takes on a state of its own kind. A first token that sees
slots does not, and every layer loses its sink. So the first ``sink_tokens`` of the running text are
kept from seeing slots; without it the best slots do harm.

Positions: the running text starts where the slots' positions end, so slots always lie in its past.
A sliding window bounds the running text's view of itself, not its view of the slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward

from sharedcli.errors import UsageError
from sharedcli.model.block_attention import causal as block_causal
from sharedcli.model.block_attention import is_served, masked
from sharedcli.model.injected import InjectedKV, LayerCall

__all__ = ["InjectedKV", "attach", "detach", "joint_mask"]

AttentionFunction = Callable[..., tuple[Tensor, Tensor | None]]
FLASH = "flash_attention_2"
# transformers takes any name with "flash" in it for a kernel to load: ours must not have it.
NAMES = {"sdpa": "sharedllm_sdpa", "eager": "sharedllm_eager", FLASH: "sharedllm_fa2"}
IMPLEMENTATIONS = tuple(NAMES)


def causal(queries: int, keys: int, device: torch.device, shift: int = 0) -> Tensor:
    """Boolean mask [1, 1, queries, keys]: query i sees keys up to i + ``shift``."""
    mask = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return mask.tril(shift)[None, None]


def joint_mask(  # noqa: PLR0917 - what a mask depends on
    query: Tensor,
    own_keys: int,
    mask: Tensor | None,
    injected: InjectedKV,
    layer: int,
    blind: Tensor | None = None,
) -> Tensor | None:
    """Widen the layer's ``mask`` by the slots' columns; None if everything may be seen.

    No mask means what it means to the stock function: one query sees all keys; several see causally
    from the first key on (keys beyond the queries are the unused rest of a static cache).
    ``blind`` [B, T] names queries that see no slot: the attention sink.

    Returns a mask broadcastable to [B, H, T, S + own_keys]: boolean, or additive where the stock
    mask is additive or a bias is learned.
    """
    length, device = query.shape[2], query.device
    bias = None if injected.bias is None else injected.bias[layer]
    if length == 1 and mask is None and injected.valid is None and bias is None and blind is None:
        return None
    if mask is None:
        mask = causal(length, own_keys, device, own_keys if length == 1 else 0)
    if injected.valid is None:
        seen = torch.ones(1, 1, length, injected.slots, dtype=torch.bool, device=device)
    else:
        seen = injected.valid[:, None, None, :].expand(-1, 1, length, -1)
    if blind is not None:
        seen = seen & ~blind[:, None, :, None]
    batch = max(mask.shape[0], seen.shape[0])
    mask, seen = mask.expand(batch, -1, length, -1), seen.expand(batch, -1, length, -1)
    if mask.dtype == torch.bool and bias is None:
        return torch.cat((seen.expand(-1, mask.shape[1], -1, -1), mask), dim=-1)
    own, slots = _additive(mask, query.dtype), _additive(seen, query.dtype)
    if bias is not None:
        slots = slots + bias.to(query.dtype)[None, :, None, None]
    heads = max(own.shape[1], slots.shape[1])
    return torch.cat((slots.expand(-1, heads, -1, -1), own.expand(-1, heads, -1, -1)), dim=-1)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        ~mask, torch.finfo(dtype).min
    )


def _joined(own: Tensor, slots: Tensor) -> Tensor:
    batch = max(own.shape[0], slots.shape[0])
    parts = (slots.to(own.dtype).expand(batch, -1, -1, -1), own.expand(batch, -1, -1, -1))
    return torch.cat(parts, dim=2)


def _with_injection(name: str, stock: AttentionFunction) -> AttentionFunction:
    def forward(  # noqa: PLR0917 - the signature is the attention interface's
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        shared: LayerCall | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        injected = None if shared is None else shared.injected
        if shared is not None and shared.collect is not None:
            shared.collect.take(layer, key, value)
        call = stock
        if shared and injected and injected.joint and injected.reaches(layer):
            own_keys, blind, window = key.shape[2], shared.blind, kwargs.get("sliding_window")
            if name != FLASH:
                attention_mask = joint_mask(query, own_keys, attention_mask, injected, layer, blind)
            elif injected.bias is None and blind is None and window is None:
                attention_mask = _flash_mask(key, attention_mask, injected)
            else:  # flash attention knows no bias, no sink, and no window that spares the slots
                own = _full_mask(query, key, attention_mask, window)
                attention_mask = joint_mask(query, own_keys, own, injected, layer, blind)
                call = sdpa_attention_forward
            key = _joined(key, injected.keys[layer])
            value = _joined(value, injected.values[layer])
        elif name == "eager" and attention_mask is None and query.shape[2] > 1:
            # The stock eager function takes "no mask" for "all may be seen"; sdpa for "causal".
            own = causal(query.shape[2], key.shape[2], key.device)
            attention_mask = _additive(own, query.dtype)
        renamed = _Renamed(module) if call is stock and name == FLASH else module
        return call(renamed, query, key, value, attention_mask, **kwargs)

    return forward


class _Renamed:
    """An attention module whose configuration names flash attention as it is really called."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        if name == "config":
            return _Renamed(self._wrapped.config)
        if name == "_attn_implementation":
            return FLASH
        return getattr(self._wrapped, name)


def _sdpa(  # noqa: PLR0917 - the signature is the attention interface's
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """The stock function, or the same in blocks where that is faster."""
    if not is_served(query):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
    if attention_mask is None and query.shape[2] > 1:
        read = block_causal(query, key, value, scale=scaling)
    else:
        read = masked(query, key, value, attention_mask, scale=scaling)
    return read.transpose(1, 2).contiguous(), None


_STOCK: dict[str, AttentionFunction] = {"sdpa": _sdpa, "eager": eager_attention_forward}


def _flash_mask(key: Tensor, mask: Tensor | None, injected: InjectedKV) -> Tensor | None:
    """Flash attention aligns causality to the last key by itself and takes a mask [B, S + T]."""
    if mask is None and injected.valid is None:
        return None
    own = key.new_ones(key.shape[0], key.shape[2], dtype=torch.bool) if mask is None else mask
    seen = injected.valid
    if seen is None:
        seen = own.new_ones(own.shape[0], injected.slots)
    return torch.cat((seen.to(own.dtype).expand(own.shape[0], -1), own), dim=1)


def _full_mask(query: Tensor, key: Tensor, mask: Tensor | None, window: int | None) -> Tensor:
    """Flash attention's mask [B, T] or None, and its window, as one mask [B, 1, T, own keys]."""
    queries, keys = query.shape[2], key.shape[2]
    full = causal(queries, keys, key.device, keys - queries)
    if window is not None:
        full = full & ~causal(queries, keys, key.device, keys - queries - window)
    return full if mask is None else full & mask.bool()[:, None, None, :]


def register() -> None:
    """Make our variants of the attention implementations known to ``transformers``."""
    for name, ours in NAMES.items():
        stock: AttentionFunction = _STOCK.get(name) or ALL_ATTENTION_FUNCTIONS[name]
        AttentionInterface.register(ours, _with_injection(name, stock))
        AttentionMaskInterface.register(ours, ALL_MASK_ATTENTION_FUNCTIONS[name])


def attach(base: Any) -> None:
    """Let ``base`` use our variant of its attention implementation; may be called repeatedly.

    Raises:
        UsageError: it uses one that we have no variant of.
    """
    register()
    name = str(base.config._attn_implementation)
    if name in NAMES.values():
        return
    if name not in NAMES:
        raise UsageError(
            f"slots cannot be injected into attention of the kind {name}; "
            "use --attn-implementation sdpa, eager or flash_attention_2"
        )
    base.set_attn_implementation(NAMES[name])


def detach(base: Any) -> None:
    """Give ``base`` its stock attention back."""
    for stock, ours in NAMES.items():
        if base.config._attn_implementation == ours:
            base.set_attn_implementation(stock)
