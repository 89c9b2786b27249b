"""Sequences on their way through the compressor's merged layers, and what is left of them there.

Where a list of kept tokens is given, the others need not go all the way. A strip says how far they
do (``tree/strips.py``); with the sequence's first token, the sink, those kept go on alone:

    layers                  computed    seen
    below exit_layer        all         all
    below pruning_layer     kept        all; keys and values of the others as ``Behind`` tells
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


@dataclass(frozen=True)
class Behind:
    """Tokens that ended at the exit layer, the others among them.

    Layers above take keys and values of them from these states: by the adapter's shortcut, which
    tells what they would have become (``training/shortcut.py``), or as if these were their own.

    Attributes:
        states: all tokens', normalised as the layers' products take them [N, E].
        angles: cosine and signed sine of all places.
        places: of the tokens that go on [S].
        shortcut: by the adapter's shortcut.
    """

    states: Tensor
    angles: tuple[Tensor, Tensor]
    places: Tensor
    shortcut: bool


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
    shortcut: bool = False
    behind: Behind | None = None
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @torch.inference_mode()
    def through(self, layer: CompressorLayer, index: int) -> None:
        """Run the next layer."""
        kept = self.kept
        if kept is not None:
            if index == self.exit_layer:
                self._leave(layer, kept)
            if index == self.pruning_layer:
                self.behind, self.view = None, replace(self.view, pruned=True)
            if self.view.places is not None:
                kept = torch.searchsorted(self.view.places, kept)
        self.states, key, value = layer(
            self.states, self.angles, self.batch, self.view, self.behind
        )
        if kept is not None:
            key, value = key.index_select(1, kept), value.index_select(1, kept)
        self.keys.append(key.transpose(1, 2))
        self.values.append(value.transpose(1, 2))
        if index + 1 == self.summary_layer:
            self.summary = self.states

    def _leave(self, layer: CompressorLayer, kept: Tensor) -> None:
        """Let those kept, and the sink, go on alone."""
        places = torch.cat((kept.new_zeros(int(kept[:1] > 0)), kept))
        self.behind = Behind(layer.normalised(self.states), self.angles, places, self.shortcut)
        states = self.states.view(self.batch, -1, self.states.shape[-1])
        self.states = states[:, places].flatten(0, 1)
        cosine, sine = self.angles
        self.angles = cosine[places], sine[places]
        self.view = replace(self.view, places=places)

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
        """Attention's results [B, H, T or S, D] of the queries that are computed."""
        if self.places is None:
            return attend(self.strip, query, keys, values, scale=scale)
        if self.pruned:
            return masked(query, keys, values, self._mask, scale=scale)
        return attend_from(self.strip, self.places, query, keys, values, scale=scale)

    @cached_property
    def _mask(self) -> Tensor:
        assert self.places is not None
        return seen(self.strip, self.places)[:, self.places]
