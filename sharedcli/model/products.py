"""A layer's matrix products with what is before and behind them: norm, bias, activation, residual.

On processors that multiply bfloat16 they are computed inside the product's kernel, by the kernels
that torch has for its own compiler; elsewhere, one after the other. Objects keep no state between
calls, so several threads may use them at once.

Shapes: N rows, I inputs, O outputs, E hidden size.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from sharedcli.model.devices import cpu_has_bfloat16

_KERNELS = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")


class Product:
    """``x W^T + b`` and what is computed with it.

    Args:
        weight: W [O, I].
        bias: b [O].
        kept: worth putting in the kernels' own order once, instead of in every product.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, kept: bool = True) -> None:
        self._fuses = has_fused_products(weight)
        order = self._fuses and kept
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight) if order else weight
        self._bias = bias

    def __call__(self, states: Tensor) -> Tensor:
        """[N, I] to [N, O]."""
        if self._fuses:
            return self._then(states, "none")
        return functional.linear(states, self._weight, self._bias)

    def silu(self, states: Tensor) -> Tensor:
        """silu(x W^T + b)."""
        return self._then(states, "swish") if self._fuses else functional.silu(self(states))

    def gelu(self, states: Tensor) -> Tensor:
        """gelu(x W^T + b), the exact one."""
        if self._fuses:
            return self._then(states, "gelu", "none")
        return functional.gelu(self(states))

    def times(self, states: Tensor, other: Tensor) -> Tensor:
        """(x W^T + b) * other."""
        return self._with(states, other, "mul") if self._fuses else self(states) * other

    def plus(self, states: Tensor, other: Tensor) -> Tensor:
        """X W^T + b + other."""
        return self._with(states, other, "add") if self._fuses else self(states) + other

    def _then(self, states: Tensor, activation: str, kind: str = "") -> Tensor:
        run = torch.ops.mkldnn._linear_pointwise
        made: Tensor = run(states, self._weight, self._bias, activation, [], kind)
        return made

    def _with(self, states: Tensor, other: Tensor, operation: str) -> Tensor:
        run = torch.ops.mkldnn._linear_pointwise.binary
        made: Tensor = run(states, other, self._weight, self._bias, operation)
        return made


class Weights:
    """How a layer's matrices are laid out, and its states [N, E] with them: here as they are.

    Args:
        kept: as ``Product``'s.
    """

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept

    def entered(self, states: Tensor) -> Tensor:
        """Embeddings as the lowest layer reads them."""
        return states

    def left(self, states: Tensor) -> Tensor:
        """A layer's states as the base has them."""
        return states

    def normalised(self, states: Tensor, eps: float) -> Tensor:
        """RMSNorm without its weight, computed in float32 or more."""
        exact = torch.promote_types(torch.float32, states.dtype)
        length = torch.linalg.vector_norm(states, dim=-1, dtype=exact)
        square = length * length / states.shape[-1]
        if states.device.type != "cpu":
            return (states * torch.rsqrt(square + eps)[:, None]).to(states.dtype)
        # A normalisation of "channels" with given statistics is the one kernel that multiplies rows
        # by float32 numbers without a float32 copy: (x - 0) / sqrt(square + eps).
        none = torch.zeros_like(square)
        return functional.batch_norm(states[None], none, square, eps=eps)[0]

    def behind_norm(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> NormedProduct:
        """The product that reads ``normalised`` states.

        Args:
            weight: W [O, E], as exact as it is known.
            bias: b [O].
            dtype: of the results.
        """
        return Product(weight.to(dtype), bias, kept=self._kept)

    def onto_states(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> AddedProduct:
        """The product that is added to states; W [E, I], b [E]."""
        return Product(weight.to(dtype), bias, kept=self._kept)


class NormedProduct(Protocol):
    """What ``Weights.behind_norm`` gives."""

    def __call__(self, states: Tensor, /) -> Tensor: ...  # noqa: D102 - as Product's

    def silu(self, states: Tensor, /) -> Tensor: ...  # noqa: D102

    def times(self, states: Tensor, other: Tensor, /) -> Tensor: ...  # noqa: D102


class AddedProduct(Protocol):
    """What ``Weights.onto_states`` gives."""

    def plus(self, states: Tensor, other: Tensor, /) -> Tensor: ...  # noqa: D102


def joined_bias(linears: list[nn.Linear]) -> Tensor | None:
    """The biases of layers whose weights stand one below the other; None where there is none."""
    if all(one.bias is None for one in linears):
        return None
    return torch.cat(
        [
            one.weight.new_zeros(one.out_features) if one.bias is None else one.bias
            for one in linears
        ]
    )


def has_fused_products(weight: Tensor) -> bool:
    """Whether torch's own kernels for its compiler, which are not public, serve this weight."""
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or not cpu_has_bfloat16():
        return False
    kernels: Any = torch.ops.mkldnn
    if not all(hasattr(kernels, name) for name in _KERNELS):
        return False
    return bool(kernels._is_mkldnn_bf16_supported())
