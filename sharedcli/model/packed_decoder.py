"""The decoder role on a CPU, without the machinery that general forward passes need.

A prompt runs through layers that are merged one at a time, in the base's number format, and thrown
away again: two large products a layer, and no second copy of the weights. Decoded tokens, up to
``ROWS`` in one pass, run through packed layers (``weight_formats.py``) that are made once, when the
first token after a prompt is read.

Results are those of ``SharedLLM.forward`` up to rounding: states between layers, norms and
rotations are float32 here (float64 where the base is). A row's logits do not depend on the rows
that are read with it, so what speculation verifies is what would have been said without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from sharedcli.model.block_attention import masked
from sharedcli.model.first_attention import behind_slots
from sharedcli.model.injected import InjectedKV
from sharedcli.model.merged_layers import Layer, MergedLayers, scaled_norm
from sharedcli.model.static_cache import StaticCache, round_up
from sharedcli.model.threads import threads_for
from sharedcli.model.weight_formats import Matrix, WeightFormat, activation_dtype, pack

if TYPE_CHECKING:
    from sharedcli.model.sharedllm import SharedLLM

ROWS = 4
"""Tokens read in one pass of the packed layers at most: the kernel's block, nearly free."""
BLOCK = 2048
"""Tokens of a prompt read in one pass."""
SHARED_ROWS = 512
"""Rows of a product with few outputs that libraries divide among two threads; of 640 to 1,280 they
do not."""
AHEAD = 320
"""Tokens that room is made for behind a prompt."""


class PackedDecoder:
    """A model's packed weights; ``stream`` begins a running text. Check ``why_not`` before."""

    def __init__(self, model: SharedLLM, kind: WeightFormat) -> None:
        self.kind = kind
        self.merged = MergedLayers(model)
        self.dtype: torch.dtype = model.dtype
        self.work = torch.float64 if model.dtype == torch.float64 else torch.float32
        self.sinks = model.config.sink_tokens
        self.layers = len(model.base.model.layers)
        epsilon = float(model.base.config.rms_norm_eps)
        self.floors = {
            size: norm_floor(size, epsilon, self.work)
            for size in (model.base.config.hidden_size, self.merged.shape.head_dim)
        }
        self._base: Any = model.base
        self._packed: tuple[list[Layer], Matrix] | None = None

    @classmethod
    def of(cls, model: SharedLLM, weights: WeightFormat | Literal["auto"]) -> PackedDecoder:
        """The model's decoder in a format, kept with the model until its adapter changes.

        "auto" is "int4" where four bits hold the base's weights, else "int8", and "plain" for a
        base in float64.
        """
        version = sum(parameter._version for parameter in model.adapter.decoder.parameters())
        made = model.packed.get((weights, version))
        if made is None:
            kind: WeightFormat
            if weights != "auto":
                kind = weights
            elif model.dtype == torch.float64:
                kind = "plain"
            else:
                kind = "int4" if MergedLayers(model).four_bits_hold() else "int8"
            made = cls(model, kind)
            model.packed.clear()  # one format at a time: it is a copy of all weights
            model.packed[weights, version] = made
        return made

    def stream(self, injected: InjectedKV | None) -> PackedStream:
        """Begin a running text that sees ``injected``."""
        return PackedStream(self, injected)

    def packed(self) -> tuple[list[Layer], Matrix]:
        """The layers and the output head in the packed format, made at the first call."""
        if self._packed is None:
            with threads_for(self.layers, self._base.device) as pool:
                layers = list(pool.map(self._pack_layer, range(self.layers)))
            head = self._base.lm_head
            # Four bits cost the output head more than all layers together.
            kind: WeightFormat = "int8" if self.kind == "int4" else self.kind
            self._packed = layers, pack(kind, head.weight, head.bias)
        return self._packed

    @torch.inference_mode()  # of a thread, not of a process
    def _pack_layer(self, index: int) -> Layer:
        return self.merged.layer(index, self.kind, self.work)

    def embed(self, tokens: Tensor) -> Tensor:
        """States [R, E] of ``tokens`` [R] before the first layer."""
        return self._base.model.embed_tokens(tokens).to(self.work)  # type: ignore[no-any-return]

    def turns(self, start: int, count: int) -> Tensor:
        """Complex rotations [count, 1, D / 2] of the positions from ``start`` on."""
        places = torch.arange(start, start + count)[None]
        like = torch.empty(0, dtype=self.work)
        cosine, sine = self._base.model.rotary_emb(like, places)
        half = cosine.shape[-1] // 2
        return torch.complex(cosine[0, :, :half], sine[0, :, :half])[:, None]

    def last_norm(self) -> Tensor:
        """The final norm's weight, scaled."""
        return scaled_norm(self._base.model.norm.weight, self.work)

    def plain_head(self) -> Matrix:
        """The output head as the base has it."""
        head = self._base.lm_head
        return Matrix(head.weight, head.bias)


class PackedStream:
    """One running text: tokens go in, logits come out. All calls within inference mode."""

    def __init__(self, decoder: PackedDecoder, injected: InjectedKV | None) -> None:
        self._decoder = decoder
        self._injected = injected
        self._start = 0 if injected is None else int(injected.start.max())
        self._last_norm = decoder.last_norm()
        self._cache: StaticCache | None = None
        self._views: list[tuple[Tensor, Tensor]] = []
        self._widths: dict[int, int] = {}
        self._turns = torch.empty(0)
        self._masks = torch.empty(0)
        self.seen = 0

    def extend(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """Append ``tokens`` [T]; return logits [keep, V] at the last ``keep``, at most ``ROWS``."""
        decoder, count = self._decoder, len(tokens)
        self._reserve(self.seen + count)
        if count <= ROWS:
            layers, head = decoder.packed()
            states = self._run(decoder.embed(tokens), layers, decoder.kind)
        else:
            for block in tokens.split(BLOCK):
                states = self._run(decoder.embed(block), None, "plain")
            head = decoder.plain_head()
        last = self._norm(states[-keep:], self._last_norm)
        kind = decoder.kind if count <= ROWS else "plain"
        return head(last.to(activation_dtype(kind, decoder.dtype))).float()

    def room(self) -> int:
        """Tokens that may be read together now, such that each sees the shapes it sees alone."""
        room = ROWS
        for slots in {0, *self._slots()}:
            held = slots + self.seen
            room = min(room, round_up(held + 1) - held)
        return room

    def rewind(self, count: int) -> None:
        """Forget the last ``count`` tokens."""
        self.seen -= count

    def _slots(self) -> list[int]:
        return [] if self._cache is None else self._cache.slots

    def _reserve(self, tokens: int) -> None:
        """Room in the cache, the rotations and the masks for ``tokens`` tokens in all."""
        decoder = self._decoder
        if self._cache is not None and tokens <= self._cache.capacity:
            return
        if self._cache is None:
            self._cache = StaticCache(
                decoder.layers,
                decoder.merged.shape,
                decoder.dtype,
                self._injected,
                tokens + AHEAD,
            )
        else:
            self._cache.reserve(tokens)
        capacity = self._cache.capacity
        self._turns = decoder.turns(self._start, capacity)
        self._widths = {}
        # Row r of any mask is a piece of one row with as many zeros: see ``_mask``.
        self._widest = round_up(capacity + max(self._cache.slots))
        per_group = decoder.merged.shape.per_group
        columns = torch.arange(2 * self._widest)
        rows = torch.arange(ROWS).repeat_interleave(per_group)[:, None]
        self._masks = _additive(columns < self._widest + rows, self._cache.layers[0].dtype)

    def _run(self, states: Tensor, layers: list[Layer] | None, kind: WeightFormat) -> Tensor:
        """Run all layers over the next tokens' ``states`` [T, E]; None merges them one by one."""
        decoder, count, cache = self._decoder, len(states), self._cache
        assert cache is not None
        widths = {slots: round_up(slots + self.seen + count) for slots in set(cache.slots)}
        if widths != self._widths:
            self._views, self._widths = cache.views(self.seen + count), widths
        turns = self._turns[self.seen : self.seen + count]
        masks = {
            slots: None if self._is_causal(slots, count) else self._mask(slots, count)
            for slots in widths
        }
        dtype = activation_dtype(kind, decoder.dtype)
        for index in range(decoder.layers):
            layer = layers[index] if layers else decoder.merged.layer(index, "plain", decoder.work)
            qkv = layer.qkv(self._norm(states, layer.attention_norm).to(dtype))
            mixed = self._attend(index, layer, qkv, turns, masks[cache.slots[index]])
            states.add_(layer.output(mixed.to(dtype)))
            hidden = layer.gate_up(self._norm(states, layer.mlp_norm).to(dtype))
            gate, up = hidden.chunk(2, -1)
            gated = functional.silu(gate).mul_(up)
            if count <= SHARED_ROWS:
                states.add_(layer.down(gated))
                continue
            parts = zip(states.split(SHARED_ROWS), gated.split(SHARED_ROWS), strict=True)
            for rows, part in parts:
                rows.add_(layer.down(part))
        self.seen += count
        return states

    def _attend(
        self, index: int, layer: Layer, qkv: Tensor, turns: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Attention's results [T, H D] of one layer, after writing its keys and values."""
        cache, shape = self._cache, self._decoder.merged.shape
        assert cache is not None
        keys, values = self._views[index]
        count, dim, groups = len(qkv), shape.head_dim, shape.groups
        joined = qkv.to(turns.real.dtype).view(count, -1, dim)
        heads = joined.shape[1] - 2 * groups
        turning = joined[:, : heads + groups]
        if layer.head_norm is not None:
            turning.copy_(self._norm(turning, layer.head_norm))
        torch.view_as_complex(turning.view(count, -1, dim // 2, 2)).mul_(turns)
        joined = joined.to(keys.dtype)
        query = joined[:, :heads]
        own = joined[:, heads:].view(count, 2, groups, dim).permute(1, 2, 0, 3)
        cache.write(index, self.seen, own)
        if self._few(count):
            query = query.reshape(-1, groups, dim).transpose(0, 1)[None]
            mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
            return mixed.transpose(1, 2).reshape(count, -1)
        # groups side by side, the heads of one share keys
        query = query.reshape(count, -1, groups, dim).permute(2, 1, 0, 3)
        keys, values = keys.transpose(0, 1), values.transpose(0, 1)
        if mask is None:
            mixed = behind_slots(query, keys, values, cache.slots[index], self._decoder.sinks)
        else:
            mixed = masked(query, keys, values, mask)
        return mixed.permute(2, 1, 0, 3).reshape(count, -1)

    def _is_causal(self, slots: int, count: int) -> bool:
        """Whether the next tokens begin a text, behind few enough slots: see ``behind_slots``."""
        return self.seen == 0 and count > ROWS and slots <= count

    def _few(self, count: int) -> bool:
        """Whether attention takes the next tokens as queries of one group, with a ready mask."""
        return count <= ROWS and self.seen >= self._decoder.sinks

    def _mask(self, slots: int, count: int) -> Tensor:
        """What the next ``count`` tokens see of a layer's keys, with ``slots`` slots before them.

        [R, keys] with R = count x (heads per group) for few tokens, which attention takes as
        queries of one group; [count, keys] for many.
        """
        width, seen = round_up(slots + self.seen + count), slots + self.seen + 1
        if self._few(count):
            rows = count * self._decoder.merged.shape.per_group
            first = self._widest - seen
            return self._masks[:rows, first : first + width]
        visible = torch.ones(count, width, dtype=torch.bool).tril_(seen - 1)
        blind = max(0, self._decoder.sinks - self.seen)
        visible[:blind, :slots] = False
        return _additive(visible, self._masks.dtype)

    def _norm(self, states: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(states, weight, self._decoder.floors[states.shape[-1]])


def rms_norm(states: Tensor, weight: Tensor, floor: Tensor) -> Tensor:
    """RMSNorm of ``states`` [..., E] with ``weight`` already times the square root of E.

    x / sqrt(mean(x^2) + e) = sqrt(E) x / sqrt(|x|^2 + E e): three operations instead of six, with
    ``floor`` the square root of E e.
    """
    size = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    return (states / torch.hypot(size, floor)).mul_(weight)


def norm_floor(size: int, epsilon: float, work: torch.dtype) -> Tensor:
    """What ``rms_norm`` of ``size`` numbers takes."""
    return torch.tensor(math.sqrt(size * epsilon), dtype=work)


def _additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(visible.shape, dtype=dtype).masked_fill_(~visible, float("-inf"))
