"""Sequences on their way through the compressor's merged layers, and what is left of them there.

Where a list of kept tokens is given, the others need not go all the way. A strip says how far they
do (``tree/strips.py``); with the sequence's first token, the sink, those kept go on alone:

    layers                  computed    seen
    below exit_layer        all         all
    below pruning_layer     kept        all, the others as they were at exit_layer
    above                   kept        kept

Shapes: N tokens of a batch in a row, B sequences of T tokens, H heads, K key/value heads, D head
size, E hidden size, S kept tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sharedcli.model.block_attention import masked
from sharedcli.model.sharedllm import Encoded
from sharedcli.model.strip_attention import attend, attend_from, seen

if TYPE_CHECKING:
    from sharedcli.model.compressor_layer import CompressorLayer
    from sharedcli.model.products import Weights
    from sharedcli.tree.strips import Strip


@dataclass(frozen=True)
class Reading:
    """What is read together, as ``MergedLayers.encode`` takes it."""

    tokens: Tensor
    kept: Tensor | None = None
    strip: Strip | None = None


@dataclass
class Pass:
    """Sequences on their way through the layers; see ``MergedLayers.encode`` for the shapes."""

    states: Tensor
    summary: Tensor
    angles: tuple[Tensor, Tensor]
    view: View
    batch: int
    kept: Tensor | None
    summary_layer: int
    exit_layer: int
    pruning_layer: int
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @torch.inference_mode()
    def through(self, layer: CompressorLayer, index: int) -> None:
        """Run the next layer."""
        kept = self.kept
        if kept is not None:
            kept = self._left(kept, index)
        states, key, value = layer(self.states, self.angles, self.batch, self.view)
        self.states = self.view.among(self.states, states, self.batch)
        if kept is not None:
            key, value = key.index_select(1, kept), value.index_select(1, kept)
        self.keys.append(key.transpose(1, 2))
        self.values.append(value.transpose(1, 2))
        if index + 1 == self.summary_layer:
            self.summary = self.states

    def _left(self, kept: Tensor, index: int) -> Tensor:
        """Leave the other tokens where they end; where those kept are among what a layer gets."""
        if index == self.exit_layer:
            sink = kept.new_zeros(int(kept[:1] > 0))
            self.view = replace(self.view, places=torch.cat((sink, kept)))
        places = self.view.places
        if places is None or index < self.pruning_layer:
            return kept
        if not self.view.pruned:
            self.states = self.view.rows(self.states, self.batch)
            self.view = replace(self.view, pruned=True)
            cosine, sine = self.angles
            self.angles = cosine[places], sine[places]
        return torch.searchsorted(places, kept)

    def encoded(self, weights: Weights, scaling: float) -> Encoded:
        """What has been found, as if keys had been rotated and that taken back."""
        keys = torch.stack(self.keys)
        if scaling != 1:
            keys = keys * scaling
        summary = weights.left(self.summary).unflatten(0, (self.batch, self.view.strip.tokens))
        return Encoded(keys, torch.stack(self.values), summary, self.kept)


@dataclass(frozen=True)
class View:
    """What tokens see, and which of them are computed.

    Attributes:
        strip: where they lie.
        places: of those that are computed [S]; None for all.
        pruned: the others are not there any more.
    """

    strip: Strip
    places: Tensor | None = None
    pruned: bool = False

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        """Attention's results [B, H, T, D], or [B, H, S, D] of those that are computed."""
        if self.places is None:
            return attend(self.strip, query, keys, values, scale=scale)
        if self.pruned:
            return masked(query, keys, values, self._mask, scale=scale)
        asked = query[:, :, self.places]
        return attend_from(self.strip, self.places, asked, keys, values, scale=scale)

    @cached_property
    def _mask(self) -> Tensor:
        assert self.places is not None
        return seen(self.strip, self.places)[:, self.places]

    def rows(self, states: Tensor, batch: int) -> Tensor:
        """Of states [N, E] those that are computed."""
        if self.places is None or self.pruned:
            return states
        return states.view(batch, -1, states.shape[-1])[:, self.places].flatten(0, 1)

    def among(self, states: Tensor, computed: Tensor, batch: int) -> Tensor:
        """``states`` with those that were ``computed`` in their places."""
        if self.places is None or self.pruned:
            return computed
        whole = states.clone()
        parts = computed.view(batch, -1, states.shape[-1])
        whole.view(batch, -1, states.shape[-1])[:, self.places] = parts
        return whole
