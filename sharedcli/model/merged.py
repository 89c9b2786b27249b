"""The compressor's layers for indexing: its updates merged into the weights, steps fused.

The hooks of ``lora.py`` serve training and two roles in one pass; for reading whole libraries they
cost more than the weights they change. Here the lowest layers are laid out once as plain matrices:
low-rank updates and the weights of the norms are folded in (in float32, rounded once), queries,
keys and values are one product, and on processors that multiply bfloat16 the activation, the gate
and the residual are computed inside the products' kernels (``products.py``). Where it is faster,
products are of eight-bit numbers (``eight_bits.py``).

What comes out is what ``SharedLLM.encode`` gives, but for rounding: equal in float64, and in
bfloat16 no further from float32 than the hooks are. Trees name what made them
(``TreeIdentity.compressor``). Keys are taken before their rotation, so none has to be taken back;
the last layer ends at its keys and values.

An object keeps no state between calls: several threads may use it at once. For reading a few chunks
the layers need not be kept: each is laid out when it is reached and dropped again, which takes no
memory, and with the reading less time than the hooks.

Shapes: N tokens of a batch in a row, B sequences of T tokens, H heads, K key/value heads, D head
size, E hidden size, S kept tokens, M layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.model.block_attention import masked
from sharedcli.model.lora import FullRank, LowRank
from sharedcli.model.products import Weights, joined_bias
from sharedcli.model.sharedllm import Encoded, SharedLLM
from sharedcli.model.sliding_window import check_window
from sharedcli.model.strip_attention import attend, seen
from sharedcli.tree.strips import Strip

_LAYERS = ("LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer")
_BEHIND = {
    "q_proj": "input_layernorm",
    "gate_proj": "post_attention_layernorm",
    "up_proj": "post_attention_layernorm",
}
"""Norms whose weights are folded into the products behind them."""
_PRODUCTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


ROWS = 1100
"""Tokens that go through a layer's products together at most: what lies between the products stays
in the processor's cache."""


def is_mergeable(model: SharedLLM) -> bool:
    """Whether the lowest layers are of a kind that is known here, with weights that are not packed.

    Everything else is read through the hooks.
    """
    layers = list(model.base.model.layers)[: model.injected_layers]
    return bool(layers) and all(_is_known(layer) for layer in layers)


def _is_known(layer: nn.Module) -> bool:
    kind = type(layer)
    if not kind.__module__.startswith("transformers.") or kind.__name__ not in _LAYERS:
        return False
    mlp: Any = layer.get_submodule("mlp")
    products = [_product(layer, name) for name in _PRODUCTS]
    # transformers has a class of its own for it, and torch another
    silu = type(mlp.act_fn).__name__ in ("SiLU", "SiLUActivation")
    return silu and all(type(product) is nn.Linear for product in products)


def _product(layer: nn.Module, name: str) -> Any:
    part = "mlp" if name in ("gate_proj", "up_proj", "down_proj") else "self_attn"
    return layer.get_submodule(f"{part}.{name}")


class MergedLayers:
    """The lowest M layers of a ``SharedLLM`` as its compressor reads them; a copy of the weights.

    The model's adapter must not change afterwards. Only for models that ``is_mergeable`` accepts.
    """

    def __init__(
        self, model: SharedLLM, *, kept: bool = True, weights: Weights | None = None
    ) -> None:
        """Lay out a model's layers.

        Args:
            model: base and adapter.
            kept: all layers now, to be kept, instead of each anew in every ``encode``.
            weights: how they are laid out; None as they are.
        """
        self._model = model
        self._weights = weights or Weights(kept=kept)
        self._backbone = model.base.model
        self._last = model.injected_layers - 1
        self._layers: list[_Layer] | None = None
        if kept:
            self._layers = [self._laid_out(index) for index in range(self._last + 1)]

    @torch.inference_mode()
    def _laid_out(self, index: int) -> _Layer:
        layer = self._backbone.layers[index]
        return _Layer(self._model, layer, index, self._weights, whole=index < self._last)

    @torch.inference_mode()
    def encode(
        self, tokens: Tensor, kept: Tensor | None = None, strip: Strip | None = None
    ) -> Encoded:
        """Run the compressor over ``tokens`` [B, T], each sequence from position 0.

        Args:
            tokens: sequences of equal length.
            kept: offsets [S] of the tokens whose keys and values are wanted; None for all.
            strip: chunks in each sequence, read as if each had its lead before it; None for one.

        Returns:
            keys and values [M, B, K, S, D], states [B, T, E] after ``summary_layer`` layers.
        """
        model = self._model
        check_window(model.base, model.injected_layers, tokens.shape[1])
        tokens = tokens.to(model.device)
        batch, length = tokens.shape
        states = self._weights.entered(self._backbone.embed_tokens(tokens).flatten(0, 1))
        summary = states
        strip = strip or Strip((0,), length, 0)
        angles, view = self._angles(states, length), _View(strip)
        keys, values = [], []
        for index in range(self._last + 1):
            layer = self._layers[index] if self._layers else self._laid_out(index)
            if kept is not None and model.config.summary_layer <= index == self._last - 1:
                # what the last layer makes of a token depends on that token's states alone
                view = _View(strip, kept)
            states, key, value = layer(states, angles, batch, view)
            if kept is not None and key.shape[1] == length:
                key, value = key.index_select(1, kept), value.index_select(1, kept)
            keys.append(key.transpose(1, 2))
            values.append(value.transpose(1, 2))
            if index + 1 == model.config.summary_layer:
                summary = states
        found = torch.stack(keys)
        if (scaling := model.rotary.scaling) != 1:  # as if it had been rotated and taken back
            found = found * scaling
        summary = self._weights.left(summary).unflatten(0, (batch, length))
        return Encoded(found, torch.stack(values), summary)

    def _angles(self, states: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Cosine and signed sine [T, 1, D]: x cos + (halves of x swapped) sin is the rotation."""
        positions = torch.arange(length, device=states.device)[None]
        cosine, sine = self._backbone.rotary_emb(states, positions)
        first, second = sine[0].chunk(2, dim=-1)
        return cosine[0][:, None], torch.cat((-first, second), dim=-1)[:, None]


@dataclass(frozen=True)
class _View:
    """What tokens see, and for which tokens it matters; no places are all."""

    strip: Strip
    places: Tensor | None = None

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        """Attention's results [B, H, T, D], or of the places alone."""
        if self.places is None:
            return attend(self.strip, query, keys, values, scale=scale)
        mask = seen(self.strip, self.places)
        return masked(query[:, :, self.places], keys, values, mask, scale=scale)

    def rows(self, states: Tensor, batch: int) -> Tensor:
        """Of states [N, E] those for which it matters."""
        if self.places is None:
            return states
        return states.view(batch, -1, states.shape[-1])[:, self.places].flatten(0, 1)


class _Layer:
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
            linears = [_product(layer, name) for name in names]
            weight = _merged_weight(linears, update)
            if names[0] in _BEHIND:
                weight *= layer.get_submodule(_BEHIND[names[0]]).weight.to(weight.dtype)
            return weight, joined_bias(linears), linears[0].weight.dtype

        self._normalised = weights.normalised
        self._heads = tuple(
            _product(layer, name).out_features // self._head_dim
            for name in ("q_proj", "k_proj", "v_proj")
        )
        self._qkv = weights.behind_norm(*merged("q_proj", "k_proj", "v_proj"))
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
        view: _View,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States [N, E] to the next states, and unrotated keys and values [B, T, K, D]."""
        joined = self._qkv(_by_rows(self._before, states))
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
            read = view.attend(
                rotated[:, :heads], rotated[:, heads:], value.transpose(1, 2), self._scale
            )
            read = read.transpose(1, 2).flatten(2).flatten(0, 1)
            states = _by_rows(self._above, read, view.rows(states, batch))
        return states, key, value

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
