"""One weight matrix in the number format that decoding reads: as it is, in eight bits, or in four.

A decoded token reads every weight once, so on a CPU its time is the time of reading them. Torch has
kernels that multiply bfloat16 activations by packed weights and compute each row by itself: a row's
result is the same to the bit whatever rows come with it, which the verification of drafts rests on.

- "int8": one scale per output channel, the absolute maximum over 127;
- "int4": a scale and a zero point for each ``GROUP`` inputs of an output channel;
- "plain": as it is.

A matrix whose sizes a kernel cannot take stays as it is, in bfloat16.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

WeightFormat = Literal["plain", "int8", "int4"]

GROUP = 32
_ROWS_AT_ONCE = 128  # packed together: what is between two operations stays in the cache


class Matrix:
    """``x [R, in] -> x W^T + bias``, shape [R, out], with W as it is."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight = weight
        self.bias = bias

    def __call__(self, states: Tensor) -> Tensor:
        """Multiply; ``states`` have the weight's number format."""
        return functional.linear(states, self.weight, self.bias)


class Int8Matrix(Matrix):
    """The same with W [out, in] in eight bits; ``scale`` [out] is bfloat16."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        parts = [_int8(part) for part in weight.split(_ROWS_AT_ONCE)]
        super().__init__(torch.cat([part[0] for part in parts]), _bfloat16(bias))
        self.scale = torch.cat([part[1] for part in parts])

    def __call__(self, states: Tensor) -> Tensor:
        """Multiply; ``states`` are bfloat16 and contiguous."""
        product = torch._weight_int8pack_mm(states, self.weight, self.scale)
        return product if self.bias is None else product.add_(self.bias)

    @staticmethod
    def takes(rows: int, columns: int) -> bool:
        """Whether the kernel works for W [rows, columns]; with others it reads out of bounds."""
        return not rows % 16 and not columns % 16


class Int4Matrix(Matrix):
    """The same in four bits; ``scale`` [in / GROUP, out, 2] holds bfloat16 scales and zeros."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        parts = [_int4(part) for part in weight.split(_ROWS_AT_ONCE)]
        super().__init__(torch.cat([part[0] for part in parts]), _bfloat16(bias))
        self.scale = torch.cat([part[1] for part in parts]).transpose(0, 1).contiguous()

    def __call__(self, states: Tensor) -> Tensor:
        """Multiply; ``states`` are bfloat16 and contiguous."""
        product = torch.ops.aten._weight_int4pack_mm_for_cpu(states, self.weight, GROUP, self.scale)
        return product if self.bias is None else product.add_(self.bias)  # type: ignore[no-any-return]

    @staticmethod
    def takes(rows: int, columns: int) -> bool:
        """Whether the kernel works for W [rows, columns]."""
        return not rows % 64 and not columns % GROUP


class Updated(Matrix):
    """A packed matrix with a low-rank update beside it: ``[x, x down^T] [W, up]^T``.

    Four bits that hold a base's weights do not hold them with an update added. Beside them, in
    groups of its own, the update costs one small product more.

    Args:
        kind: the format of the matrix; the small product is in eight bits.
        weight, bias: W [out, in] and its bias, or None.
        down, up: [r, in] and [out, r].
    """

    def __init__(
        self, kind: WeightFormat, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor
    ) -> None:
        padding = -len(down) % GROUP
        self._down = pack("int8", functional.pad(down, (0, 0, 0, padding)))
        wide = torch.cat((weight, functional.pad(up, (0, padding)).to(weight.dtype)), 1)
        self._matrix = pack(kind, wide, bias)
        super().__init__(self._matrix.weight, self._matrix.bias)

    def __call__(self, states: Tensor) -> Tensor:
        """Multiply."""
        return self._matrix(torch.cat((states, self._down(states)), 1))


def holds(weight: Tensor) -> bool:
    """Whether four bits hold ``weight`` [out, in] up to what bfloat16 scales round.

    So it is with models that are distributed in four bits in groups of ``GROUP``.
    """
    if weight.shape[1] % GROUP:
        return False
    values, scale, zero = _quantise_int4(weight)
    error = ((values - 8) * scale.float() + zero.float()).sub_(weight.float().view(values.shape))
    return bool(error.norm() < 0.01 * weight.float().norm())


def activation_dtype(kind: WeightFormat, dtype: torch.dtype) -> torch.dtype:
    """What a matrix of ``kind``, made of weights of ``dtype``, is multiplied by."""
    return dtype if kind == "plain" else torch.bfloat16


def pack(kind: WeightFormat, weight: Tensor, bias: Tensor | None = None) -> Matrix:
    """Bring ``weight`` [out, in] into a format."""
    if kind == "plain":
        return Matrix(weight, bias)
    packed = Int4Matrix if kind == "int4" else Int8Matrix
    if packed.takes(*weight.shape):
        return packed(weight, bias)
    return Matrix(weight.bfloat16(), _bfloat16(bias))


def _bfloat16(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.bfloat16()


def _int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Values [out, in] and scales [out]."""
    values = weight.float()
    low, high = values.amin(1), values.amax(1)
    scale = (torch.maximum(high, -low) / 127).clamp_(min=1e-12).bfloat16()
    # Divided by the scale as it is stored: its rounding then costs nothing.
    values = values.mul(scale.float().reciprocal_()[:, None]).round_().clamp_(-127, 127)
    return values.to(torch.int8), scale


def _int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Values as the kernel stores them, and scales with zeros [out, in / GROUP, 2].

    The kernel's weights are (q - 8) scale + zero with q from 0 to 15.
    """
    values, scale, zero = _quantise_int4(weight)
    packed = torch._convert_weight_to_int4pack_for_cpu(values.view(weight.shape).int(), 1)
    return packed, torch.cat((scale, zero), -1)


def _quantise_int4(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whole numbers from 0 to 15 [out, in / GROUP, GROUP], scales and zeros [..., 1]."""
    values = weight.float().view(len(weight), -1, GROUP)
    low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)  # aminmax is slower
    scale = ((high - low) / 15).clamp_(min=1e-12).bfloat16()
    factor = scale.float()
    zero = low.add_(8 * factor).bfloat16()
    values = (values - zero.float()).mul_(factor.reciprocal_()).add_(8).round_().clamp_(0, 15)
    return values, scale, zero
