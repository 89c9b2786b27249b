"""Cross injection: the paper's separate cross-attention in the lowest M layers (section 3.3).

In layer j < M, between self-attention and MLP:

    a = h + SelfAttention(norm(h))
    c = a + W_o (gate * Attention(R(n) W_q norm_c(a), R(i) K', V'))
    output = c + MLP(norm(c))

Slots K', V' come from the compressor's layer j and pass no projection; chunk i's keys stand at
position i, all queries at n, the number of chunks. New parameters: W_q, W_o, norm_c and one gate
per head. W_q, W_o and the norm start as copies of the layer's own, the gates at zero: the untrained
model is the base, and the first step already has a useful direction to open a gate along. W_o has
no bias, which would add to the stream even where the gates are shut.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.model.block_attention import masked
from sharedcli.model.injected import InjectedKV, LayerCall
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
        self.o_proj = _dense_copy(attention.o_proj, bias=False)
        self.gate = nn.Parameter(torch.zeros(heads))
        self.scale = float(getattr(attention, "scaling", head_dim**-0.5))
        # Qwen3 normalises queries and keys per head; slot keys are normalised already. In a list,
        # so that the norm stays the base's.
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
        mask = empty = None
        if injected.valid is not None:
            # A context without a slot reads nothing. Its softmax must be over something all the
            # same: over nothing it is NaN, which would reach the gradients of the whole batch.
            valid = injected.valid[:, None, None, :]
            empty = ~valid.any(-1, keepdim=True)
            mask = valid | empty
        read = masked(query, keys, values, mask, scale=self.scale)
        if empty is not None:
            read = read.masked_fill(empty, 0.0)
        read = read * self.gate.to(read.dtype)[None, :, None, None]
        read = read.transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(read).to(states.dtype)  # type: ignore[no-any-return]


class CrossHooks:
    """Hooks that run each layer's cross-attention between its self-attention and its MLP.

    The residual stream is picked up where it enters the layer's first norm. Like the hook on
    self-attention, that lies inside of what gradient checkpointing runs again.
    """

    def __init__(self, layers: nn.ModuleList, crosses: nn.ModuleList, owner: object = None) -> None:
        """``owner``: only calls that name it are meant, see ``LayerCall``."""
        self._residual: Tensor | None = None
        self._owner = owner
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        for index, cross in enumerate(crosses):
            norm = layers[index].get_submodule("input_layernorm")
            attention = layers[index].get_submodule("self_attn")
            add = self._add(index, cross)
            self._handles += [
                norm.register_forward_pre_hook(self._keep),
                attention.register_forward_hook(add, with_kwargs=True, always_call=True),
            ]

    def _keep(self, norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._residual = args[0]

    def _add(self, index: int, cross: nn.Module) -> Callable[..., Any]:
        def add(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> Any:
            residual, self._residual = self._residual, None
            call = kwargs.get("shared")
            if output is None or residual is None or not isinstance(call, LayerCall):
                return None  # self-attention failed, or the call is the plain base's
            injected = call.injected
            if call.owner is not self._owner or injected is None or injected.joint:
                return None
            if not injected.reaches(index):
                return None
            attended = output[0]
            return (attended + cross(residual + attended, injected, index), *output[1:])

        return add

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _trainable_copy(module: Any) -> nn.Module:
    clone: nn.Module = copy.deepcopy(module)
    # The base's hooks, those of another adapter perhaps, are not the copy's.
    clone._forward_hooks.clear()
    clone._forward_pre_hooks.clear()
    return clone.requires_grad_(True)


def _dense_copy(linear: Any, bias: bool = True) -> nn.Linear:
    """Copy a linear layer as a plain one, dequantising 4-bit and 8-bit weights."""
    weight = dense_weight(linear)
    clone = nn.Linear(
        weight.shape[1],
        weight.shape[0],
        bias=bias and linear.bias is not None,
        dtype=weight.dtype,
        device=weight.device,
    )
    with torch.no_grad():
        clone.weight.copy_(weight)
        if clone.bias is not None:
            clone.bias.copy_(linear.bias)
    return clone


@torch.no_grad()
def dense_weight(linear: Any) -> Tensor:
    """Return a linear layer's weight [out, in] as a floating-point tensor.

    A quantised layer is asked for it by reading the unit vectors: how its weight is stored is its
    own affair, and changes with its first use on some processors.
    """
    weight = linear.weight
    if weight.is_floating_point():
        return weight.data  # type: ignore[no-any-return]
    dtype = getattr(linear, "compute_dtype", None) or torch.float32
    units = torch.eye(linear.in_features, dtype=dtype, device=weight.device)
    columns: Tensor = linear(units)
    if linear.bias is not None:
        columns = columns - linear.bias
    return columns.T.contiguous()
