"""Joint injection: slots join the self-attention softmax of the lowest M layers.

Built on the attention interface of ``transformers``: each stock implementation (sdpa, eager,
flash_attention_2) is registered a second time under a name of ours that puts the injected keys and
values in front of the layer's own and then calls the stock function. So Llama, Mistral and Qwen
layers are used as they are, the key/value cache holds running text only, and a call without
injection is the stock call to the bit.

Positions: the running text starts where the slots' positions end, so slots always lie in its past.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward

AttentionFunction = Callable[..., tuple[Tensor, Tensor | None]]
PREFIX = "sharedllm_"
IMPLEMENTATIONS = ("sdpa", "eager", "flash_attention_2")


@dataclass(frozen=True)
class InjectedKV:
    """Slots rotated to their places: made once per question, constant while decoding.

    Attributes:
        keys, values: one tensor [B, K, S, D] for each of the M injected layers.
        valid: False where padded, [B, S], or None.
        joint: True if the slots join self-attention, False if they are read by cross-attention.
        start: position of the first running token, [B].
        query_angles: cosine and sine [B, 1, 1, R] for cross-attention's queries, else None.
        bias: added to the logits of all slots, [H] per layer; None if the adapter has none.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    valid: Tensor | None
    joint: bool
    start: Tensor
    query_angles: tuple[Tensor, Tensor] | None = None
    bias: tuple[Tensor, ...] | None = None

    @property
    def slots(self) -> int:
        """S: slots per context, padding included."""
        return self.keys[0].shape[-2] if self.keys else 0

    def reaches(self, layer: int) -> bool:
        """Tell whether ``layer`` sees any slot."""
        return layer < len(self.keys) and self.slots > 0


def causal(queries: int, keys: int, device: torch.device) -> Tensor:
    """Boolean mask [1, 1, queries, keys]: the last query sees the last key."""
    mask = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return mask.tril(keys - queries)[None, None]


def joint_mask(
    query: Tensor, own_keys: int, mask: Tensor | None, injected: InjectedKV, layer: int
) -> Tensor | None:
    """Widen the layer's ``mask`` by the slots' columns; None if everything may be seen.

    Returns a mask broadcastable to [B, H, T, S + own_keys]: boolean, or additive where the stock
    mask is additive or a bias is learned.
    """
    length, device = query.shape[2], query.device
    bias = None if injected.bias is None else injected.bias[layer]
    if length == 1 and mask is None and injected.valid is None and bias is None:
        return None
    if mask is None:
        mask = causal(length, own_keys, device)
    mask = mask[..., -own_keys:]
    if injected.valid is None:
        seen = mask.new_ones((), dtype=torch.bool).expand(1, 1, length, injected.slots)
    else:
        seen = injected.valid[:, None, None, :].expand(-1, 1, length, -1)
    batch = max(mask.shape[0], seen.shape[0])
    mask, seen = mask.expand(batch, 1, length, -1), seen.expand(batch, 1, length, -1)
    if mask.dtype == torch.bool and bias is None:
        return torch.cat((seen, mask), dim=-1)
    own = _additive(mask, query.dtype)
    slots = _additive(seen, query.dtype)
    if bias is not None:
        heads = bias.shape[0]
        slots = slots + bias.to(query.dtype)[None, :, None, None]
        own = own.expand(-1, heads, -1, -1)
    return torch.cat((slots, own), dim=-1)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        ~mask, torch.finfo(dtype).min
    )


def _joined(own: Tensor, slots: Tensor) -> Tensor:
    return torch.cat((slots.expand(own.shape[0], -1, -1, -1), own), dim=2)


def _with_injection(name: str, stock: AttentionFunction) -> AttentionFunction:
    def forward(  # noqa: PLR0917 - the signature is the attention interface's
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        injected: InjectedKV | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        call = stock
        if injected is not None and injected.joint and injected.reaches(layer):
            if name == "flash_attention_2" and injected.bias is None:
                attention_mask = _flash_mask(key, attention_mask, injected)
            else:
                call = sdpa_attention_forward if name == "flash_attention_2" else stock
                attention_mask = joint_mask(query, key.shape[2], attention_mask, injected, layer)
            key = _joined(key, injected.keys[layer])
            value = _joined(value, injected.values[layer])
        elif name == "eager" and attention_mask is None and query.shape[2] > 1:
            # The stock eager function takes "no mask" for "all may be seen"; sdpa for "causal".
            attention_mask = _additive(
                causal(query.shape[2], key.shape[2], key.device), query.dtype
            )
        return call(module, query, key, value, attention_mask, **kwargs)

    return forward


def _flash_mask(key: Tensor, mask: Tensor | None, injected: InjectedKV) -> Tensor | None:
    """Flash attention aligns causality to the last key by itself and takes a mask [B, S + T]."""
    if mask is None and injected.valid is None:
        return None
    own = key.new_ones(key.shape[0], key.shape[2], dtype=torch.bool) if mask is None else mask
    seen = injected.valid
    if seen is None:
        seen = own.new_ones(own.shape[0], injected.slots)
    return torch.cat((seen.to(own.dtype), own), dim=1)


def register() -> None:
    """Make ``sharedllm_sdpa``, ``sharedllm_eager`` and ``sharedllm_flash_attention_2`` known."""
    for name in IMPLEMENTATIONS:
        stock: AttentionFunction = (
            eager_attention_forward if name == "eager" else ALL_ATTENTION_FUNCTIONS[name]
        )
        AttentionInterface.register(PREFIX + name, _with_injection(name, stock))
        AttentionMaskInterface.register(PREFIX + name, ALL_MASK_ATTENTION_FUNCTIONS[name])
