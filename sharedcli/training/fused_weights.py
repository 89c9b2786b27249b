"""A layer's weights as training uses them: updates added, laid out once for many products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

BLOCK = 256
"""Tokens that are worked on together, so that what is made of them stays in the cache."""


@dataclass(frozen=True)
class Update:
    """A low-rank update of rows ``first`` to ``last`` of a weight: ``scale * up @ down``.

    ``down`` [r, in] and ``up`` [rows, r] are the parameters themselves.
    """

    down: Tensor
    up: Tensor
    scale: float
    first: int
    last: int


Product = Callable[[Tensor], Tensor]


def product(weight: Tensor) -> Product:
    """``x -> x W^T`` without a gradient, for a weight [out, in] that is used many times.

    In bfloat16 on a processor with matrix units a weight is laid out anew in each product; here
    that is done once.
    """
    weight = weight.contiguous()
    packs = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    if not (packs and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return partial(linear, weight=weight)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, BLOCK)

    def multiply(states: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(states, packed, None, "none", [], "")
        return found

    return multiply


@dataclass(frozen=True)
class Projection:
    """Projections of the same input side by side, with updates added.

    ``forward`` is ``x -> x W^T``, ``back`` is ``g -> g W``; neither knows of gradients.
    """

    forward: Product
    back: Product
    updates: tuple[Update, ...]

    @classmethod
    def of(cls, weight: Tensor, updates: tuple[Update, ...]) -> Projection:
        """From the weight [out, in] with its updates added."""
        return cls(product(weight), product(weight.T), updates)

    @property
    def parameters(self) -> list[Tensor]:
        """What trains: down and up of each update."""
        return [part for update in self.updates for part in (update.down, update.up)]

    def gradients(self, states: Tensor, grad: Tensor) -> list[Tensor]:
        """Gradients of ``parameters``, from thin products: none is of the weight's size."""
        found: list[Tensor] = []
        for update in self.updates:
            part = grad[:, update.first : update.last]
            low = (states @ update.down.to(states.dtype).T).mul_(update.scale)
            high = (part @ update.up.to(states.dtype)).mul_(update.scale)
            found += [(high.T @ states).to(update.down), (part.T @ low).to(update.up)]
        return found


@dataclass(frozen=True)
class Layer:
    """A layer's weights in the dtype that it is run in: qkv [(H + 2K) D, E], gate_up [2F, E]."""

    attention_norm: Tensor
    qkv: Projection
    out: Projection
    mlp_norm: Tensor
    gate_up: Projection
    down: Projection
    eps: float
    heads: int
    kv_heads: int
    head_dim: int
