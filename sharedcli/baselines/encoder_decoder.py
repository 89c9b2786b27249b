"""CEPE's structure: a small encoder over chunks in parallel, cross-attention in every layer.

Yen et al., arXiv 2402.16617: a bidirectional encoder reads chunks of the context on its own; the
decoder's layers, all of them, read its states by a cross-attention between self-attention and MLP.

There are no published weights for the bases that sharedcli runs, and none are trained here: the
encoder is random and the cross-attention's output starts at zero, as CEPE's does. So the model says
what the base says without the document. What can be measured is its cost: time and memory are those
of the real structure. Reports mark its scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.baselines.streams import CachedStream
from sharedcli.model.base import Base
from sharedcli.model.block_attention import masked
from sharedcli.model.sharedllm import SharedLLM

CHUNK = 256
"""Tokens that the encoder reads together, as in CEPE."""

BATCH = 16


@dataclass(frozen=True)
class EncoderSize:
    """Width, layers and heads of an encoder."""

    width: int
    layers: int
    heads: int

    @property
    def parameters(self) -> int:
        """Of its layers' matrices."""
        return 12 * self.width**2 * self.layers


SIZES = (
    EncoderSize(384, 6, 6),
    EncoderSize(512, 8, 8),
    EncoderSize(768, 12, 12),
    EncoderSize(1024, 24, 16),
)


def encoder_size(base_parameters: int) -> EncoderSize:
    """The size nearest to a sixteenth of the base, which is about what CEPE's encoder has."""
    wanted = base_parameters / 16
    return min(SIZES, key=lambda size: abs(math.log(size.parameters / wanted)))


class ChunkEncoder(nn.Module):
    """A bidirectional encoder over chunks; token embeddings are the base's, projected."""

    def __init__(self, base: Base, seed: int = 0) -> None:
        super().__init__()
        self.size = size = encoder_size(base.model.num_parameters())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.project = nn.Linear(base.hidden_size, size.width)
            self.places = nn.Embedding(CHUNK, size.width)
            layer = nn.TransformerEncoderLayer(
                size.width,
                size.heads,
                4 * size.width,
                dropout=0.0,
                batch_first=True,
                norm_first=True,
            )
            self.layers = nn.TransformerEncoder(layer, size.layers, enable_nested_tensor=False)
        self._embed = [base.model.get_input_embeddings()]  # in a list: not a part of this module
        self.to(base.device, base.dtype).requires_grad_(False).eval()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return states [T, width] of ``tokens`` [T]; each chunk is read on its own."""
        states = []
        full = len(tokens) // CHUNK * CHUNK
        chunks = list(tokens[:full].view(-1, CHUNK).split(BATCH))
        if full < len(tokens):
            chunks.append(tokens[full:][None])
        for batch in chunks:
            ids = batch.to(self.project.weight.device)
            place = torch.arange(ids.shape[1], device=ids.device)
            read = self.project(self._embed[0](ids)) + self.places(place)
            states.append(self.layers(read).flatten(0, 1))
        return torch.cat(states)


class CrossRead(nn.Module):
    """One layer's cross-attention over encoder states; its output projection starts at zero."""

    def __init__(self, base: Base, width: int, seed: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = base.heads, base.kv_heads, base.head_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.norm = nn.LayerNorm(base.hidden_size)
            self.query = nn.Linear(base.hidden_size, self.heads * self.size, bias=False)
            self.key = nn.Linear(width, self.kv_heads * self.size, bias=False)
            self.value = nn.Linear(width, self.kv_heads * self.size, bias=False)
            self.out = nn.Linear(self.heads * self.size, base.hidden_size, bias=False)
        nn.init.zeros_(self.out.weight)
        self.to(base.device, base.dtype).requires_grad_(False).eval()

    def remember(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [1, K, C, D] of encoder states [C, width], made once per context."""
        return self._heads(self.key, states), self._heads(self.value, states)

    def _heads(self, product: nn.Linear, states: Tensor) -> Tensor:
        # Head by head into its place: rows of one head stand together, which attention reads
        # nearly twice as fast, and no copy as large as the context is made for it.
        found = states.new_empty(self.kv_heads, len(states), self.size)
        for head, weight in zip(found, product.weight.split(self.size), strict=True):
            torch.mm(states, weight.T, out=head)
        return found[None]

    def forward(self, hidden: Tensor, kept: tuple[Tensor, Tensor]) -> Tensor:
        """What the layer adds to ``hidden`` [B, T, E]."""
        batch, length, _ = hidden.shape
        query = self.query(self.norm(hidden)).view(batch, length, self.heads, self.size)
        query = query.transpose(1, 2)
        if length == 1:  # heads that share keys are rows of one query: keys are read once
            query = query.view(batch, self.kv_heads, -1, self.size)
        keys, values = (part.expand(batch, -1, -1, -1) for part in kept)
        read = masked(query, keys, values, None)
        read = read.reshape(batch, self.heads, length, self.size).transpose(1, 2)
        return self.out(read.flatten(2))  # type: ignore[no-any-return]


def cross_reads(base: Base, size: EncoderSize) -> nn.ModuleList:
    """One cross-attention for every layer of the base."""
    return nn.ModuleList(CrossRead(base, size.width, seed) for seed in range(base.layers))


class CrossStream(CachedStream):
    """A cached stream whose layers also read what the encoder made of the context."""

    def __init__(self, model: SharedLLM, crosses: nn.ModuleList, states: Tensor) -> None:
        super().__init__(model)
        self._layers = model.base.model.layers
        self._crosses: list[Any] = list(crosses)
        self._kept_states = [cross.remember(states) for cross in self._crosses]

    @torch.inference_mode()
    def read(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """As ``Stream.read``."""
        with self._hooked():
            return super().read(tokens, keep)

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Hook the layers for one pass only: other methods use the same base."""
        handles = []
        residual: dict[int, Tensor] = {}
        for index, layer in enumerate(self._layers):

            def keep(_module: Any, inputs: Any, index: int = index) -> None:
                residual[index] = inputs[0]

            def add(_module: Any, _inputs: Any, output: Any, index: int = index) -> Any:
                states = residual.pop(index) + output[0]
                more = self._crosses[index](states, self._kept_states[index])
                return (output[0] + more, *output[1:])

            handles.append(layer.input_layernorm.register_forward_pre_hook(keep))
            handles.append(layer.self_attn.register_forward_hook(add))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
