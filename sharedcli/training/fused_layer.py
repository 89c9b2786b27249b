"""One Llama layer over one sequence, in functions with backward passes of their own.

Weights are frozen or products of updates; norms never train, so no gradient of theirs is made.
Attention runs one key/value head at a time and only over keys that a block of queries may see: its
scores stay in the cache, where a whole layer's would not.

Shapes: T tokens, S slots, H heads, K key/value heads, D head size, E hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu

from sharedcli.training.fused_weights import BLOCK, Layer, Projection


@dataclass(frozen=True)
class Frame:
    """What the layers of one sequence share: angles [T, D] and the additive mask [T, S + T]."""

    cosine: Tensor
    sine: Tensor
    mask: Tensor


def run_layer(
    layer: Layer,
    hidden: Tensor,
    frame: Frame,
    *,
    slots: tuple[Tensor, ...] | None = None,
    only_keys: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over ``hidden`` [T, E].

    Args:
        slots: rotated keys and values [K, S, D] to see besides.
        only_keys: stop where keys and values are known.

    Returns:
        States [T, E], and the tokens' keys (unrotated) and values [K, T, D].
    """
    length = len(hidden)
    heads, kv_heads, size = layer.heads, layer.kv_heads, layer.head_dim
    states = _apply(_Norm, hidden, layer.attention_norm, layer.eps)
    joint = _project(layer.qkv, states).view(length, heads + 2 * kv_heads, size).transpose(0, 1)
    query, key, value = joint.split((heads, kv_heads, kv_heads))
    if only_keys:
        return hidden, key, value
    query = _rotated(query, frame.cosine, frame.sine) * size**-0.5
    keys, values = _rotated(key, frame.cosine, frame.sine), value
    if slots is not None:
        keys, values = torch.cat((slots[0], keys), 1), torch.cat((slots[1], values), 1)
    read = _apply(_Attention, query, keys, values, frame.mask)
    hidden = hidden + _project(layer.out, read.transpose(0, 1).reshape(length, heads * size))
    return (
        _apply(_Feed, hidden, layer, *layer.gate_up.parameters, *layer.down.parameters),
        key,
        value,
    )


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    found: Tensor = function.apply(*arguments)
    return found


def _project(projection: Projection, states: Tensor) -> Tensor:
    """Project [T, in] to [T, out]; gradients reach the updates' parameters."""
    return _apply(_Project, states, projection, *projection.parameters)


def _rotated(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return _apply(_Rotate, states, cosine, sine)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


class _Rotate(torch.autograd.Function):
    """Rotary embedding of [H, T, D] in the half-split layout; going back turns the other way."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _turned(states, cosine, sine, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _turned(grads[0], ctx.saved_tensors[0], ctx.saved_tensors[1], -1), None, None


def _turned(states: Tensor, cosine: Tensor, sine: Tensor, sign: int) -> Tensor:
    half = states.shape[-1] // 2
    out = states * cosine
    sine = sine[..., :half]
    out[..., :half].addcmul_(states[..., half:], sine, value=-sign)
    out[..., half:].addcmul_(states[..., :half], sine, value=sign)
    return out


class _Feed(torch.autograd.Function):
    """Norm, gated MLP and residual sum, ``BLOCK`` tokens at a time.

    Keeps its input alone: what the MLP makes of a block fits the cache, and is cheaper to make
    again than to fetch from memory.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, layer: Layer, *_parameters: Tensor) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(hidden)
        out = torch.empty_like(hidden)
        for block, into in zip(hidden.split(BLOCK), out.split(BLOCK), strict=True):
            states, _, _ = _normed(block, layer.mlp_norm, layer.eps)
            gate, up = layer.gate_up.forward(states).chunk(2, -1)
            torch.add(block, layer.down.forward(silu(gate).mul_(up)), out=into)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (hidden,) = ctx.saved_tensors
        layer: Layer = ctx.layer
        onward = torch.empty_like(hidden)
        sums: list[Tensor] = []
        blocks = zip(*(t.split(BLOCK) for t in (hidden, grads[0], onward)), strict=True)
        for block, grad, into in blocks:
            states, wide, scale = _normed(block, layer.mlp_norm, layer.eps)
            gate, up = layer.gate_up.forward(states).chunk(2, -1)
            squashed = gate.sigmoid()
            active = gate * squashed
            inner = layer.down.back(grad)
            found = layer.down.gradients(active * up, grad)
            both = grad.new_empty(len(block), 2 * up.shape[1])
            to_gate, to_up = both.chunk(2, -1)
            torch.mul(inner, active, out=to_up)
            # derivative of x * sigmoid(x)
            squashed.addcmul_(active, squashed, value=-1).add_(active)
            torch.mul(inner, up, out=to_gate).mul_(squashed)
            found = [*layer.gate_up.gradients(states, both), *found]
            sums = [a.add_(b) for a, b in zip(sums, found, strict=True)] if sums else found
            back = layer.gate_up.back(both)
            torch.add(grad, _norm_back(back, wide, scale, layer.mlp_norm), out=into)
        return onward, None, *sums


def _normed(hidden: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """RMSNorm: result, the input divided by its length, and that divisor's inverse [T, 1]."""
    wide = hidden.to(_wide(hidden.dtype), copy=True)
    scale = (wide.square().mean(-1, keepdim=True) + eps).rsqrt_()
    wide.mul_(scale)
    return wide.to(hidden.dtype) * weight, wide, scale


def _norm_back(grad: Tensor, wide: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """Gradient of ``_normed``'s input."""
    inner = (grad * weight).to(scale.dtype)
    along = (inner * wide).mean(-1, keepdim=True)
    return inner.addcmul_(wide, along, value=-1).mul_(scale).to(grad.dtype)


class _Project(torch.autograd.Function):
    """``x -> x (W + B A)^T`` with W + B A made before; W gets no gradient, A and B do."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, projection: Projection, *parameters: Tensor) -> Tensor:
        ctx.projection = projection
        ctx.save_for_backward(states)
        return projection.forward(states)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (states,) = ctx.saved_tensors
        projection: Projection = ctx.projection
        onward = projection.back(grads[0]) if ctx.needs_input_grad[0] else None
        return onward, None, *projection.gradients(states, grads[0])


class _Norm(torch.autograd.Function):
    """RMSNorm with a frozen weight."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        ctx.eps = eps
        ctx.save_for_backward(hidden, weight)
        return _normed(hidden, weight, eps)[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        hidden, weight = ctx.saved_tensors
        _, wide, scale = _normed(hidden, weight, ctx.eps)
        return _norm_back(grads[0], wide, scale, weight), None, None


class _Attention(torch.autograd.Function):
    """Softmax attention of queries [H, T, D] (scaled) over keys and values [K, S + T, D].

    ``mask`` [T, S + T] is additive and causal in its last T columns.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        heads, length, size = query.shape
        kv_heads, total, _ = keys.shape
        group = heads // kv_heads
        slots = total - length
        grouped = query.reshape(kv_heads, group, length, size)
        keys, values = keys.contiguous(), values.contiguous()
        out = torch.empty_like(grouped)
        kept: list[Tensor] = []
        for first in range(0, length, BLOCK):
            last = min(first + BLOCK, length)
            end = slots + last
            seen = mask[first:last, :end]
            for head in range(kv_heads):
                part = grouped[head, :, first:last].reshape(-1, size)
                scores = (part @ keys[head, :end].T).view(group, last - first, end)
                weights = scores.add_(seen).softmax(-1).view(-1, end)
                out[head, :, first:last] = (weights @ values[head, :end]).view(group, -1, size)
                kept.append(weights)
        ctx.save_for_backward(grouped, keys, values, *kept)
        return out.view(heads, length, size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        grouped, keys, values, *kept = ctx.saved_tensors
        kv_heads, group, length, size = grouped.shape
        slots = keys.shape[1] - length
        grad = grads[0].reshape(grouped.shape)
        to_query, to_keys = torch.empty_like(grouped), torch.zeros_like(keys)
        to_values = torch.zeros_like(values)
        waiting = iter(kept)
        for first in range(0, length, BLOCK):
            last = min(first + BLOCK, length)
            end = slots + last
            for head in range(kv_heads):
                weights = next(waiting)
                part = grouped[head, :, first:last].reshape(-1, size)
                given = grad[head, :, first:last].reshape(-1, size)
                to_values[head, :end] += weights.T @ given
                to_scores = torch._softmax_backward_data(
                    given @ values[head, :end].T, weights, -1, weights.dtype
                )
                to_query[head, :, first:last] = (to_scores @ keys[head, :end]).view(group, -1, size)
                to_keys[head, :end] += to_scores.T @ part
        return to_query.view(kv_heads * group, length, size), to_keys, to_values, None
