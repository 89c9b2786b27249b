"""One decoder layer as the compressor runs it for indexing.

Low-rank updates and the weights of the norms before them are folded into the products (in float32,
rounded once); queries, keys and values are one product. See ``merged.py``.

Shapes: N tokens of a batch in a row, B sequences of T tokens, H heads, K key/value heads, D head
size, E hidden size, S kept tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharedcli.model.lora import FullRank, LowRank
from sharedcli.model.products import Weights, joined_bias
from sharedcli.model.sharedllm import SharedLLM

if TYPE_CHECKING:
    from sharedcli.model.compressor_pass import Behind, View

_BEHIND = {
    "q_proj": "input_layernorm",
    "gate_proj": "post_attention_layernorm",
    "up_proj": "post_attention_layernorm",
}
"""Norms whose weights are folded into the products behind them."""
ROWS = 1100
"""Tokens that go through a layer's products together at most: what lies between the products stays
in the processor's cache."""


def product_of(layer: nn.Module, name: str) -> Any:
    """One of a layer's seven products by its name, such as "q_proj"."""
    part = "mlp" if name in ("gate_proj", "up_proj", "down_proj") else "self_attn"
    return layer.get_submodule(f"{part}.{name}")


class CompressorLayer:
    """One decoder layer. ``whole``: it also makes the states for a layer above it."""

    def __init__(
        self, model: SharedLLM, layer: Any, index: int, weights: Weights, *, whole: bool
    ) -> None:
        attention = layer.self_attn
        self._head_dim = int(attention.head_dim)
        self._scale = float(attention.scaling)
        self._eps = float(layer.input_layernorm.variance_epsilon)
        self._query_norm = getattr(attention, "q_norm", None)
        self._key_norm = getattr(attention, "k_norm", None)
        # the summary layer's states are wanted even if no slots are above it
        self._whole = whole or index < model.config.summary_layer
        updates = model.adapter.compressor.updates

        def merged(*names: str) -> tuple[Tensor, Tensor | None, torch.dtype]:
            update = [updates[key] if (key := f"{index}_{n}") in updates else None for n in names]
            linears = [product_of(layer, name) for name in names]
            weight = _merged_weight(linears, update)
            if names[0] in _BEHIND:
                weight *= layer.get_submodule(_BEHIND[names[0]]).weight.to(weight.dtype)
            return weight, joined_bias(linears), linears[0].weight.dtype

        self._normalised = weights.normalised
        self._heads = tuple(
            product_of(layer, name).out_features // self._head_dim
            for name in ("q_proj", "k_proj", "v_proj")
        )
        self._qkv = weights.behind_norm(*merged("q_proj", "k_proj", "v_proj"))
        self._shortcut = None
        if shortcut := model.adapter.shortcut_of(index):
            dtype = product_of(layer, "k_proj").weight.dtype
            self._shortcut = weights.behind_norm(shortcut[0], shortcut[1].to(dtype), dtype)
        if self._whole:
            self._out = weights.onto_states(*merged("o_proj"))
            self._gate = weights.behind_norm(*merged("gate_proj"))
            self._up = weights.behind_norm(*merged("up_proj"))
            self._down = weights.onto_states(*merged("down_proj"))

    def __call__(
        self,
        states: Tensor,
        angles: tuple[Tensor, Tensor],
        batch: int,
        view: View,
        behind: Behind | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States [N, E] to the next states, and unrotated keys and values [B, T, K, D].

        ``behind``: tokens that are seen, though not computed any more.
        """
        joined = self._qkv(self.normalised(states))
        joined = joined.view(batch, -1, sum(self._heads), self._head_dim)
        heads, kv_heads, _ = self._heads
        value = joined[:, :, heads + kv_heads :]
        if self._query_norm is not None and self._key_norm is not None:
            query, key, _ = joined.split(self._heads, dim=2)
            query, key = self._query_norm(query), self._key_norm(key)
            turning = torch.cat((query, key), dim=2)
        else:
            turning = joined[:, :, : heads + kv_heads]
        key = turning[:, :, heads:]
        if self._whole:
            rotated = _rotated(turning, angles).transpose(1, 2)
            keys, values = rotated[:, heads:], value.transpose(1, 2)
            if behind is not None:
                keys, values = self._among(behind, keys, values)
            read = view.attend(rotated[:, :heads], keys, values, self._scale)
            read = read.transpose(1, 2).flatten(2).flatten(0, 1)
            states = _by_rows(self._above, read, states)
        return states, key, value

    def normalised(self, states: Tensor) -> Tensor:
        """States [N, E] as the products behind the layer's norms take them."""
        return _by_rows(self._before, states)

    def _among(self, behind: Behind, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Rotated keys and values [B, K, S, D] among those of tokens that stayed behind, T."""
        shortcut = self._shortcut if behind.shortcut else None
        made = (shortcut or self._qkv)(behind.states)
        made = made.view(len(keys), -1, made.shape[-1] // self._head_dim, self._head_dim)
        kv_heads = self._heads[1]
        key = made[:, :, -2 * kv_heads : -kv_heads]
        if shortcut is None and self._key_norm is not None:
            key = self._key_norm(key)
        all_keys = _rotated(key, behind.angles).transpose(1, 2)
        all_values = made[:, :, -kv_heads:].transpose(1, 2)
        all_keys[:, :, behind.places] = keys
        all_values[:, :, behind.places] = values
        return all_keys, all_values

    def _before(self, states: Tensor) -> Tensor:
        return self._normalised(states, self._eps)

    def _above(self, read: Tensor, states: Tensor) -> Tensor:
        """What follows attention, of some rows."""
        states = self._out.plus(read, states)
        normalised = self._before(states)
        gated = self._up.times(normalised, self._gate.silu(normalised))
        return self._down.plus(gated, states)


def _by_rows(made: Callable[..., Tensor], *whole: Tensor) -> Tensor:
    """``made`` of all rows [N, ...], a cache's fill at a time."""
    count = len(whole[0])
    if count <= ROWS or whole[0].device.type != "cpu":
        return made(*whole)
    parts = -(-count // ROWS)
    first, *others = zip(*(one.chunk(parts) for one in whole), strict=True)
    begun = made(*first)
    joined = begun.new_empty(count, begun.shape[1])
    joined[: (end := len(begun))] = begun
    for part in others:
        found = made(*part)
        joined[end : (end := end + len(found))] = found
    return joined


def _merged_weight(linears: list[nn.Linear], updates: list[Any]) -> Tensor:
    """The layers' weights with their updates, one below the other, in float32 (float64 stays)."""
    like = linears[0].weight
    exact = torch.promote_types(torch.float32, like.dtype)
    sizes = [one.out_features for one in linears]
    whole = like.new_empty(sum(sizes), like.shape[1], dtype=exact)
    for part, linear, update in zip(whole.split(sizes), linears, updates, strict=True):
        part.copy_(linear.weight)
        if isinstance(update, LowRank):
            part.addmm_(update.up.to(exact), update.down.to(exact), alpha=update.scale)
        elif isinstance(update, FullRank):
            part.add_(update.weight)
    return whole


def _rotated(states: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate [B, T, heads, D] to their places (half-split layout)."""
    cosine, sine = angles
    rotated = states * cosine
    # each half in place, instead of a copy with swapped halves
    for half, other, sines in zip(
        rotated.chunk(2, dim=-1),
        reversed(states.chunk(2, dim=-1)),
        sine.chunk(2, dim=-1),
        strict=True,
    ):
        half.addcmul_(other, sines)
    return rotated
