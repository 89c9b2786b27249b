"""A layer's products with weights and activations in eight bits (W8A8), by oneDNN's kernels.

Processors that multiply eight-bit numbers (VNNI) do it twice as fast as bfloat16. What it costs is
rounding, and a language model's states round badly: a few channels are many times larger than the
rest. So between the layers states are kept rotated by an orthogonal matrix, which spreads every
channel over all (QuaRot, arXiv 2404.00456). A norm does not notice, and the matrices before and
behind it are rotated once, when they are laid out.

Behind a norm the root mean square is one, so one scale serves all tokens there, and the activation
stays inside of the product's kernel. Other inputs have a scale for each row. Where there are matrix
units (AMX), finding it takes longer than eight bits save, so those products are not in eight bits.

Shapes: N rows, I inputs, O outputs, E hidden size.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from sharedcli.model.devices import cpu_has_bfloat16, has_matrix_units
from sharedcli.model.products import AddedProduct, Weights

_LIMIT = 5.0
"""Normalised states beyond it, fewer than one of a million, are cut off."""
_STEPS = 127
_ZERO = 128
"""Stands for 0: the kernels are fast for activations without a sign alone."""
_SMALLEST = 256
"""Models with fewer channels gain nothing."""
_FACTOR = 64
_KERNELS = ("qlinear_prepack", "qlinear_pointwise")


def has_eight_bit_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this processor and this torch have the kernels, for a model in ``dtype``.

    Without VNNI instructions the kernels run as well, but sums of two products overflow there.
    """
    if device.type != "cpu" or dtype not in (torch.bfloat16, torch.float32):
        return False
    has_vnni: bool = getattr(torch.cpu, "_is_vnni_supported", bool)()
    return has_vnni and _are_right()


@cache
def _are_right() -> bool:
    """Try the kernels, which are torch's for its compiler and not public, on a small product."""
    if not all(hasattr(torch.ops.onednn, name) for name in _KERNELS):
        return False
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(100, 127, (32, 64), generator=generator).float()
    inputs = torch.randint(200, 255, (3, 64), generator=generator)  # sums of two need 17 bits
    wanted = torch.nn.functional.silu((inputs - _ZERO).float() @ weight.T * 1e-6)
    try:
        product = EightBitProduct(weight, None, torch.float32, 1e-6)
        found = product.silu(inputs.to(torch.uint8))
    except RuntimeError:
        return False
    return bool((found - wanted).norm() < 0.02 * wanted.norm())


def is_worth_it(dtype: torch.dtype, hidden_size: int) -> bool:
    """Whether they are faster than the model's own, and it is in the format that is fastest here.

    Who asks for float32 where bfloat16 is faster wants it exact.
    """
    fastest = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    return dtype == fastest and hidden_size >= _SMALLEST


class EightBitWeights(Weights):
    """Matrices in eight bits, and states [N, E] that are rotated between the layers.

    Args:
        hidden_size: E.
        onto_states: whether products that are added to states are of eight bits, too; None where
            that is faster than the states' own format.
    """

    def __init__(self, hidden_size: int, *, onto_states: bool | None = None) -> None:
        super().__init__(kept=True)
        self._rotate = Rotation(hidden_size)
        self._onto_states = onto_states

    def entered(self, states: Tensor) -> Tensor:
        """Rotate embeddings."""
        return self._rotate(states.float()).to(states.dtype)

    def left(self, states: Tensor) -> Tensor:
        """Take the rotation back."""
        return self._rotate.back(states.float()).to(states.dtype)

    def normalised(self, states: Tensor, eps: float) -> Tensor:
        """RMSNorm without its weight, in eight bits."""
        values = _copy(states)
        length = torch.linalg.vector_norm(values, dim=-1)
        size = torch.rsqrt(length * length / states.shape[-1] + eps) * (_STEPS / _LIMIT)
        return _eight_bits(values.mul_(size[:, None]).clamp_(-_STEPS, _STEPS))

    def behind_norm(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
    ) -> EightBitProduct:
        """The product that reads ``normalised`` states."""
        return EightBitProduct(self._rotate(weight), bias, dtype, _LIMIT / _STEPS)

    def onto_states(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> AddedProduct:
        """The product that is added to states."""
        turned = self._rotate.columns(weight)
        added = None if bias is None else self._rotate(bias.float()[None])[0].to(dtype)
        in_eight_bits = self._onto_states
        if in_eight_bits is None:
            in_eight_bits = not (has_matrix_units() and dtype == torch.bfloat16)
        return (_ByRows if in_eight_bits else super().onto_states)(turned, added, dtype)


class EightBitProduct:
    """``x W^T + b`` of inputs in eight bits.

    Args:
        weight: W [O, I], in float32.
        bias: b [O].
        dtype: of the results.
        scale: what a step of the inputs stands for.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, scale: float
    ) -> None:
        self._scales = (weight.abs().amax(1) / _STEPS).clamp_(min=1e-12)
        values = (weight / self._scales[:, None]).round_().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(values, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = None if bias is None else bias.float()
        self._dtype = dtype
        self._scale = scale

    def __call__(self, states: Tensor, activation: str = "none") -> Tensor:
        """[N, I] to [N, O]."""
        run = torch.ops.onednn.qlinear_pointwise
        weight = (self._weight, self._scales, self._zeros, self._bias)
        made: Tensor = run(
            states, self._scale, _ZERO, *weight, 1.0, 0, self._dtype, activation, [], ""
        )
        return made

    def silu(self, states: Tensor) -> Tensor:
        """silu(x W^T + b)."""
        return self(states, "swish")

    def times(self, states: Tensor, other: Tensor) -> Tensor:
        """(x W^T + b) * other."""
        return self(states).mul_(other)


class _ByRows:
    """The same of inputs of any size and format, each row with a scale of its own."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self._product = EightBitProduct(weight, None, dtype, 1.0)
        self._bias = bias

    def plus(self, states: Tensor, other: Tensor) -> Tensor:
        """X W^T + b + other."""
        size = _largest(states).float().div_(_STEPS).clamp_(min=1e-30)
        made = self._product(_eight_bits(_copy(states).mul_(size.reciprocal())))
        added = torch.addcmul(other, made, size.to(made.dtype))
        return added if self._bias is None else added.add_(self._bias)


def _largest(rows: Tensor) -> Tensor:
    """The largest size in each row [N, 1]."""
    if rows.dtype != torch.bfloat16:
        return rows.abs().amax(1, keepdim=True)
    # without their signs, bits are ordered as numbers are; whole numbers are compared faster
    bits = rows.view(torch.int16).bitwise_and(0x7FFF)
    return bits.amax(1, keepdim=True).view(torch.bfloat16)


def _copy(values: Tensor) -> Tensor:
    """In float32; products of two formats are slower than this."""
    return values.to(torch.float32, copy=True)


def _eight_bits(values: Tensor) -> Tensor:
    """Numbers from -127 to 127, rounded in place, with 128 added."""
    return values.round_().to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO)


class Rotation:
    """An orthogonal matrix [E, E] that spreads every channel over all: row x to x R.

    R is the Kronecker product of small ones, Hadamard's and, for what is not a power of two in E, a
    random one, so that a row takes few operations.
    """

    def __init__(self, size: int) -> None:
        power = size & -size
        mixing = torch.randn(
            size // power, size // power, generator=torch.Generator().manual_seed(0)
        )
        self._factors = [torch.linalg.qr(mixing).Q.contiguous()]
        while power > 1:
            part = min(power, _FACTOR)
            self._factors.append(_hadamard(part))
            power //= part

    def __call__(self, rows: Tensor) -> Tensor:
        """Rotate rows [N, E]."""
        return self._turned(rows, [factor.T.contiguous() for factor in self._factors])

    def columns(self, matrix: Tensor) -> Tensor:
        """Rotate the columns of a matrix [E, I]."""
        turned, inner = matrix, matrix.numel()
        for factor in self._factors:
            inner //= len(factor)
            turned = factor.T @ turned.reshape(-1, len(factor), inner)
        return turned.reshape(matrix.shape)

    def back(self, rows: Tensor) -> Tensor:
        """Rotate rows [N, E] back."""
        return self._turned(rows, self._factors)

    def _turned(self, rows: Tensor, factors: list[Tensor]) -> Tensor:
        turned, inner = rows, rows.shape[1]
        for factor in factors:
            inner //= len(factor)
            if inner > 1:
                turned = factor @ turned.reshape(-1, len(factor), inner)
            else:  # as one product, not as one for each row
                turned = turned.reshape(-1, len(factor)) @ factor.T
        return turned.reshape(rows.shape)


def _hadamard(size: int) -> Tensor:
    """Hadamard's matrix of a power of two, orthogonal."""
    made = torch.ones(1, 1)
    while len(made) < size:
        made = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), made)
    return made / math.sqrt(size)
