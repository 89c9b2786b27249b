"""The compressor's layers for indexing: its updates merged into the weights, steps fused.

The hooks of ``lora.py`` serve training and two roles in one pass; for reading whole libraries they
cost more than the weights they change. Here the lowest layers are laid out once as plain matrices:
low-rank updates and the weights of the norms are folded in (``compressor_layer.py``), and on
processors that multiply bfloat16 the activation, the gate and the residual are computed inside the
products' kernels (``products.py``). Where it is faster, products are of eight-bit numbers
(``eight_bits.py``).

What comes out is what ``SharedLLM.encode`` gives, but for rounding: equal in float64, and in
bfloat16 no further from float32 than the hooks are. Trees name what made them
(``TreeIdentity.compressor``). Keys are taken before their rotation, so none has to be taken back;
the last layer ends at its keys and values.

An object keeps no state between calls: several threads may use it at once. For reading a few chunks
the layers need not be kept: each is laid out when it is reached and dropped again, two at a time at
most, which with the reading takes less time than the hooks.

Shapes: B sequences of T tokens, K key/value heads, D head size, E hidden size, S kept tokens, M
layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.model.compressor_layer import CompressorLayer, product_of
from sharedcli.model.compressor_pass import Pass, Reading, View
from sharedcli.model.products import Weights
from sharedcli.model.sharedllm import Encoded, SharedLLM
from sharedcli.model.sliding_window import check_window
from sharedcli.model.threads import Alone, TorchThreads, threads_for
from sharedcli.tree.strips import Strip

_LAYERS = ("LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer")
_AT_ONCE = 2
"""Layers that are laid out at the same time: each needs room for a matrix in float32."""
_PRODUCTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


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
    products = [product_of(layer, name) for name in _PRODUCTS]
    # transformers has a class of its own for it, and torch another
    silu = type(mlp.act_fn).__name__ in ("SiLU", "SiLUActivation")
    return silu and all(type(product) is nn.Linear for product in products)


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
        self._layers: list[CompressorLayer] | None = None
        if kept:
            with threads_for(min(_AT_ONCE, self._last + 1), model.device) as threads:
                self._layers = list(threads.map(self._laid_out, range(self._last + 1)))

    @torch.inference_mode()
    def _laid_out(self, index: int) -> CompressorLayer:
        layer = self._backbone.layers[index]
        return CompressorLayer(self._model, layer, index, self._weights, whole=index < self._last)

    def encode(
        self, tokens: Tensor, kept: Tensor | None = None, strip: Strip | None = None
    ) -> Encoded:
        """Run the compressor over ``tokens`` [B, T], each sequence from position 0.

        Args:
            tokens: sequences of equal length.
            kept: offsets [S], ascending, of the tokens whose keys and values are wanted; None for
                all, and then all pass through all layers.
            strip: chunks in each sequence, read as if each had its lead before it; None for one.

        Returns:
            keys and values [M, B, K, S, D], states [B, T, E] after ``summary_layer`` layers.
        """
        return self.encode_each([Reading(tokens, kept, strip)])[0]

    @torch.inference_mode()
    def encode_each(self, readings: Sequence[Reading]) -> list[Encoded]:
        """``encode`` of several batches at the same time, layer by layer."""
        passes = [self._begun(one.tokens, one.kept, one.strip) for one in readings]
        with threads_for(len(passes), self._model.device) as threads:
            for index, layer in enumerate(self._layers or self._passing(threads)):
                for _ in threads.map(partial(Pass.through, layer=layer, index=index), passes):
                    pass
        scaling = self._model.rotary.scaling
        return [one.encoded(self._weights, scaling) for one in passes]

    def _passing(self, threads: TorchThreads | Alone) -> Iterator[CompressorLayer]:
        """Each layer when it is reached, laid out by the threads that run it.

        By this thread, with all of torch's threads, it measured slower: presumably since those go
        on waiting for more on the cores that the threads which run it need.
        """
        for first in range(0, self._last + 1, _AT_ONCE):
            yield from threads.map(
                self._laid_out, range(first, min(first + _AT_ONCE, self._last + 1))
            )

    def _begun(self, tokens: Tensor, kept: Tensor | None, strip: Strip | None) -> Pass:
        model = self._model
        strip = strip or Strip((0,), tokens.shape[1], 0)
        exit_layer, pruning_layer = self._limits(strip)
        check_window(model.base, model.injected_layers, tokens.shape[1])
        tokens = tokens.to(model.device)
        batch, length = tokens.shape
        states = self._weights.entered(self._backbone.embed_tokens(tokens).flatten(0, 1))
        return Pass(
            states=states,
            summary=states,
            angles=self._angles(states, length),
            view=View(strip),
            batch=batch,
            kept=kept,
            summary_layer=model.config.summary_layer,
            exit_layer=exit_layer,
            pruning_layer=pruning_layer,
            shortcut=model.config.has_shortcut(exit_layer, pruning_layer),
        )

    def _limits(self, strip: Strip) -> tuple[int, int]:
        """Layers that all tokens pass through, and layers that see them all."""
        lowest = self._model.config.summary_layer  # its states are wanted of all tokens
        # what the last layer makes of a token depends on that token's states alone
        pruning = max(lowest + 1, min(strip.pruning_layer or self._last, self._last))
        end = max(lowest, min(strip.exit_layer or pruning, pruning - 1))
        return (end, pruning) if end < self._last else (self._last + 1, self._last + 1)

    def _angles(self, states: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Cosine and signed sine [T, 1, D]: x cos + (halves of x swapped) sin is the rotation."""
        positions = torch.arange(length, device=states.device)[None]
        cosine, sine = self._backbone.rotary_emb(states, positions)
        first, second = sine[0].chunk(2, dim=-1)
        return cosine[0][:, None], torch.cat((-first, second), dim=-1)[:, None]
