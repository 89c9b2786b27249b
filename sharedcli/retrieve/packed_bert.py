"""A BERT encoder for texts of any lengths, without padding between them.

The model is ``transformers``' own; its forward pass spends a third of its time between the
products (copies, activations, additions, the machinery of hooks), and padding is a tenth to a half
of what it reads. Here texts stand one behind the other, as ModernBERT has them (arXiv 2412.13663):
nothing but attention needs to know where one ends. Queries, keys and values are one product, and
activation and residual are computed inside of the products' kernels, where there are such
(``model/products.py``). Results are equal but for rounding.

Shapes: N tokens of all texts, and a few that fill up; B texts of T tokens at most; E width, H heads
of D.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharedcli.model.block_attention import masked
from sharedcli.model.products import Product, joined_bias

if TYPE_CHECKING:
    from transformers import BertModel

# For each shape of a product a kernel is made, and half a megabyte kept: so there are few of them.
_STEP, _FEW, _FEW_STEP = 64, 256, 16
_LENGTH_STEP, _TEXT_STEP = 8, 4


class PackedBert:
    """The mean of a BERT's last states; keeps no state between calls.

    Holds of the model its embeddings and norms, and a copy of its matrices.

    Raises:
        ValueError: its activation is not known here.
    """

    def __init__(self, model: BertModel) -> None:
        if model.config.hidden_act != "gelu":
            raise ValueError(f"the activation {model.config.hidden_act} is not known here")
        self._embeddings = model.embeddings
        self._layers = [_Layer(layer) for layer in model.encoder.layer]

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Mean of the last states of each text's tokens, [B, E] in float32 or more.

        Args:
            texts: token ids, one at least of each; those of like lengths best side by side.
        """
        device = self._embeddings.word_embeddings.weight.device
        lengths = torch.tensor([len(text) for text in texts])
        groups = [_Group.of(lengths[a:b], first, device) for a, b, first in _alike(lengths)]
        count = int(lengths.sum())
        filling = [0] * (_rows(count) - count)
        tokens = torch.tensor([token for text in texts for token in text] + filling)
        places = torch.tensor([place for text in texts for place in range(len(text))] + filling)
        states: Tensor = self._embeddings(
            input_ids=tokens.to(device)[None], position_ids=places.to(device)[None]
        )[0]
        for layer in self._layers:
            states = layer(states, groups)
        sizes = lengths.to(device)
        exact = states[:count].to(torch.promote_types(torch.float32, states.dtype))
        sums = exact.new_zeros(len(texts), exact.shape[1])
        sums.index_add_(0, torch.repeat_interleave(sizes), exact)
        return sums / sizes[:, None]


@dataclass(frozen=True)
class _Group:
    """Neighbouring texts of like lengths, whose attention is one operation.

    Attributes:
        places: their tokens [B, T] among all N; any where there is none.
        seen: keys that are seen [B, 1, 1, T]; None for all.
        own: places of the group's tokens in [B T].
        rows: places of the same among all N.
    """

    places: Tensor
    seen: Tensor | None
    own: Tensor
    rows: slice

    @classmethod
    def of(cls, lengths: Tensor, first: int, device: torch.device) -> _Group:
        """Texts of ``lengths`` [B], the first of which begins at token ``first``."""
        # few shapes here, too; but one or two texts may be long ones
        missing = -len(lengths) % _TEXT_STEP if len(lengths) > 2 else 0
        sizes = torch.cat((lengths, lengths.new_zeros(missing)))
        column = torch.arange(_LENGTH_STEP * math.ceil(int(lengths.max()) / _LENGTH_STEP))
        real = column < sizes[:, None]
        places = torch.where(real, first + (sizes.cumsum(0) - sizes)[:, None] + column, first)
        # what only fills up sees something, too: sums of nothing are not numbers
        seen = None if bool(real.all()) else (real | (column == 0))[:, None, None].to(device)
        own = real.flatten().nonzero()[:, 0].to(device)
        return cls(places.to(device), seen, own, slice(first, first + len(own)))

    def attend(self, joined: Tensor) -> Tensor:
        """Queries, keys and values [N, 3, H, D] to what the group's tokens read [n, H D]."""
        query, key, value = joined[self.places].permute(2, 0, 3, 1, 4)
        read = masked(query, key, value, self.seen)
        return read.transpose(1, 2).flatten(0, 1)[self.own].flatten(1)


def _alike(lengths: Tensor) -> Iterator[tuple[int, int, int]]:
    """Neighbours of like lengths: (first text, behind the last, the first's first token)."""
    begin = token = next_token = 0
    known = lengths.tolist()
    for text, length in enumerate(known):
        shortest, longest = min(group := known[begin : text + 1]), max(group)
        if longest - shortest > max(_LENGTH_STEP, longest // _LENGTH_STEP):
            yield begin, text, token
            begin, token = text, next_token
        next_token += length
    if known:
        yield begin, len(known), token


def _rows(count: int) -> int:
    """Rows of a product for ``count`` tokens."""
    step = _FEW_STEP if count <= _FEW else _STEP
    return step * math.ceil(count / step)


class _Layer:
    def __init__(self, layer: Any) -> None:
        attention, heads = layer.attention.self, layer.attention.self.num_attention_heads
        self._split = (3, heads, attention.query.out_features // heads)
        self._qkv = _product(attention.query, attention.key, attention.value)
        self._out = _product(layer.attention.output.dense)
        self._attention_norm: nn.LayerNorm = layer.attention.output.LayerNorm
        self._up = _product(layer.intermediate.dense)
        self._down = _product(layer.output.dense)
        self._norm: nn.LayerNorm = layer.output.LayerNorm

    def __call__(self, states: Tensor, groups: Sequence[_Group]) -> Tensor:
        """States [N, E] to the next states."""
        joined = self._qkv(states).view(-1, *self._split)
        read = torch.zeros_like(states)
        for group in groups:
            read[group.rows] = group.attend(joined)
        states = self._attention_norm(self._out.plus(read, states))
        normal: Tensor = self._norm(self._down.plus(self._up.gelu(states), states))
        return normal


def _product(*linears: nn.Linear) -> Product:
    return Product(torch.cat([one.weight for one in linears]), joined_bias(list(linears)))
