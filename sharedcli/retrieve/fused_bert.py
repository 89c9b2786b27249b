"""A BERT encoder's layers with fused products, for reading whole libraries.

The model is ``transformers``' own; its forward pass spends a third of its time between the
products (copies, activations, additions, the machinery of hooks). Here queries, keys and values are
one product, and activation and residual are computed inside of the products' kernels
(``model/products.py``). Results are equal but for the rounding of bfloat16.

Shapes: B texts of T tokens, N = B T rows, E width, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharedcli.model.block_attention import masked
from sharedcli.model.products import Product, has_fused_products, joined_bias

if TYPE_CHECKING:
    from transformers import BertModel


def is_fusable(model: BertModel) -> bool:
    """Whether the fused kernels serve a model: bfloat16 on a CPU that multiplies it."""
    config = model.config
    return config.hidden_act == "gelu" and has_fused_products(
        model.embeddings.word_embeddings.weight
    )


class FusedBert:
    """A BERT's last states; keeps no state between calls. A copy of the layers' weights."""

    def __init__(self, model: BertModel) -> None:
        self._embeddings = model.embeddings
        self._layers = [_Layer(layer) for layer in model.encoder.layer]

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """States [B, T, E] of ``tokens`` [B, T].

        ``mask`` [B, T] is true where there is a token; None if all are.
        """
        states: Tensor = self._embeddings(input_ids=tokens).flatten(0, 1)
        visible = None if mask is None else mask[:, None, None, :]
        for layer in self._layers:
            states = layer(states, len(tokens), visible)
        last: Tensor = states.unflatten(0, tokens.shape)
        return last


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

    def __call__(self, states: Tensor, batch: int, visible: Tensor | None) -> Tensor:
        """States [N, E] to the next states."""
        joined = self._qkv(states).view(batch, -1, *self._split)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        read = masked(query, key, value, visible)
        read = read.transpose(1, 2).reshape(states.shape)
        states = self._attention_norm(self._out.plus(read, states))
        normal: Tensor = self._norm(self._down.plus(self._up.gelu(states), states))
        return normal


def _product(*linears: nn.Linear) -> Product:
    return Product(torch.cat([one.weight for one in linears]), joined_bias(list(linears)))
