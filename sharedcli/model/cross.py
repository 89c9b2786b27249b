"""Cross injection: the paper's separate cross-attention in the lowest M layers (section 3.3).

In layer j < M, between self-attention and MLP:

    a = h + SelfAttention(norm(h))
    c = a + W_o (gate * Attention(R(n) W_q norm_c(a), R(i) K', V'))
    output = c + MLP(norm(c))

Slots K', V' come from the compressor's layer j and pass no projection; chunk i's keys stand at
position i, all queries at n, the number of chunks. New parameters: W_q, W_o, norm_c and one gate
per head. W_q, W_o and the norm start as copies of the layer's own, the gates at zero: the untrained
model is the base, and the first step already has a useful direction to open a gate along.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from sharedcli.model.attention import InjectedKV
from sharedcli.model.rotary import apply_rotation


class CrossAttention(nn.Module):
    """One layer's cross-attention over slots."""

    def __init__(self, layer: nn.Module, heads: int, head_dim: int) -> None:
        super().__init__()
        attention = layer.self_attn
        assert isinstance(attention, nn.Module)
        self.heads, self.head_dim = heads, head_dim
        self.norm = _trainable_copy(layer.input_layernorm)
        self.q_proj = _dense_copy(attention.q_proj)
        self.o_proj = _dense_copy(attention.o_proj)
        self.gate = nn.Parameter(torch.zeros(heads))
        # Qwen3 normalises queries and keys per head; slot keys are normalised already.
        self._query_norm = [getattr(attention, "q_norm", None)]

    def forward(self, states: Tensor, injected: InjectedKV, layer: int) -> Tensor:
        """Return what slots add to ``states`` [B, T, E], same shape."""
        batch, length, _ = states.shape
        dtype = self.q_proj.weight.dtype
        query = self.q_proj(self.norm(states.to(dtype)))
        query = query.view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        if (norm := self._query_norm[0]) is not None:
            query = norm(query)
        assert injected.query_angles is not None
        cosine, sine = injected.query_angles
        query = apply_rotation(query, cosine.to(dtype), sine.to(dtype))
        keys = injected.keys[layer].to(dtype).expand(batch, -1, -1, -1)
        values = injected.values[layer].to(dtype).expand(batch, -1, -1, -1)
        mask = None if injected.valid is None else injected.valid[:, None, None, :]
        read = scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
        if mask is not None:  # a context without a single slot reads nothing, not NaN
            read = read.masked_fill(~mask.any(-1, keepdim=True), 0.0)
        read = read * self.gate[None, :, None, None]
        read = read.transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(read).to(states.dtype)  # type: ignore[no-any-return]


class CrossHooks:
    """Hooks that run each layer's cross-attention between its self-attention and its MLP."""

    def __init__(self, layers: nn.ModuleList, crosses: nn.ModuleList) -> None:
        self._residual: dict[int, Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        for index, cross in enumerate(crosses):
            layer = layers[index]
            attention = layer.self_attn
            assert isinstance(attention, nn.Module)
            self._handles += [
                layer.register_forward_pre_hook(self._keep(index), with_kwargs=True),
                attention.register_forward_hook(self._add(index, cross), with_kwargs=True),
            ]

    def _keep(self, index: int):  # type: ignore[no-untyped-def]
        def keep(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if kwargs.get("injected") is not None:
                self._residual[index] = args[0] if args else kwargs["hidden_states"]

        return keep

    def _add(self, index: int, cross: nn.Module):  # type: ignore[no-untyped-def]
        def add(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> Any:
            injected = kwargs.get("injected")
            if injected is None or injected.joint or not injected.reaches(index):
                return None
            attended = output[0]
            read = cross(self._residual.pop(index) + attended, injected, index)
            return (attended + read, *output[1:])

        return add

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _trainable_copy(module: Any) -> nn.Module:
    clone: nn.Module = copy.deepcopy(module)
    return clone.requires_grad_(True)


def _dense_copy(linear: Any) -> nn.Linear:
    """Copy a linear layer as a plain one, dequantising 4-bit and 8-bit weights."""
    weight = dense_weight(linear)
    clone = nn.Linear(
        weight.shape[1],
        weight.shape[0],
        bias=linear.bias is not None,
        dtype=weight.dtype,
        device=weight.device,
    )
    with torch.no_grad():
        clone.weight.copy_(weight)
        if linear.bias is not None:
            clone.bias.copy_(linear.bias)
    return clone


def dense_weight(linear: Any) -> Tensor:
    """Return a linear layer's weight [out, in] as a floating-point tensor."""
    weight = linear.weight
    if getattr(weight, "quant_state", None) is not None:
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, weight.quant_state)
    if weight.dtype == torch.int8:
        from bitsandbytes.functional import int8_vectorwise_dequant

        return int8_vectorwise_dequant(weight.data, weight.SCB)  # type: ignore[no-any-return]
    return weight.data  # type: ignore[no-any-return]
