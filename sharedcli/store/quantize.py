"""Slot formats: how key and value slots [M, K, S, D] become bytes and come back.

Notable choices:
- int8: one scale per vector of D values; int4: one per 32 values, two codes per byte. Codes are
  symmetric (-127..127, -7..7), so that zero stays zero.
- Scales are float16 and rounded UP, and codes are taken against the rounded scale: every error is
  at most half a scale, in the subnormal range too.
- Values that are not finite are refused: one NaN in a slot would poison every answer after it.

It knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sharedcli.errors import SharedCLIError

GROUP = 32
"""Values along D that share one int4 scale."""

_LARGEST_CODE = {"int8": 127, "int4": 7}
_PLAIN = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class Encoded:
    """A tensor in a slot format.

    Attributes:
        format: "bfloat16", "float16", "float32", "int8" or "int4".
        shape: of the decoded tensor.
        codes: the values themselves, int8 codes of the same shape, or uint8 [..., bytes of D].
        scales: float16 [...] for int8, [..., groups of D] for int4, None for plain values.
    """

    format: str
    shape: tuple[int, ...]
    codes: Tensor
    scales: Tensor | None = None


def encode(tensor: Tensor, slot_format: str) -> Encoded:
    """Bring ``tensor`` [..., D] into ``slot_format``, on the CPU.

    Raises:
        SharedCLIError: a value is not finite, or beyond what the format can hold.
    """
    values = tensor.detach().to("cpu")
    shape = tuple(values.shape)
    if slot_format in _PLAIN:
        codes = values.to(_PLAIN[slot_format]).contiguous()
        if not bool(torch.isfinite(codes).all()):
            _check_finite(values)
            raise _too_large(slot_format)
        return Encoded(slot_format, shape, codes)
    if slot_format == "int8":
        codes, scales = _quantize(values.float(), slot_format)
        return Encoded(slot_format, shape, codes, scales)
    if slot_format == "int4":
        codes, scales = _quantize(_grouped(values.float()), slot_format)
        return Encoded(slot_format, shape, pack_nibbles(codes.flatten(-2)), scales)
    raise ValueError(f"unknown slot format {slot_format!r}")


def decode(encoded: Encoded, dtype: torch.dtype | None = None) -> Tensor:
    """Undo ``encode``. Quantised formats give float32, plain ones their own dtype, or ``dtype``."""
    if encoded.scales is None:
        values = encoded.codes
    else:
        scales = encoded.scales.float().unsqueeze(-1)
        if encoded.format == "int4":
            flat = unpack_nibbles(encoded.codes)
            values = flat.reshape(*scales.shape[:-1], GROUP).float() * scales
            values = values.flatten(-2)[..., : encoded.shape[-1]].contiguous()
        else:
            values = encoded.codes.float() * scales
    return values if dtype is None else values.to(dtype)


def code_shapes(
    slot_format: str, shape: tuple[int, ...]
) -> tuple[tuple[torch.dtype, tuple[int, ...]], tuple[torch.dtype, tuple[int, ...]] | None]:
    """Dtype and shape that the codes and the scales (or None) of a format must have."""
    if slot_format in _PLAIN:
        return (_PLAIN[slot_format], shape), None
    if slot_format == "int8":
        return (torch.int8, shape), (torch.float16, shape[:-1])
    if slot_format == "int4":
        groups = -(-shape[-1] // GROUP)
        packed = (*shape[:-1], groups * GROUP // 2)
        return (torch.uint8, packed), (torch.float16, (*shape[:-1], groups))
    raise ValueError(f"unknown slot format {slot_format!r}")


def pack_nibbles(codes: Tensor) -> Tensor:
    """Pack int8 codes -8..7 of shape [..., 2n] into uint8 [..., n], even positions low."""
    shifted = (codes + 8).to(torch.uint8)
    return shifted[..., 0::2] | (shifted[..., 1::2] << 4)


def unpack_nibbles(packed: Tensor) -> Tensor:
    """Undo ``pack_nibbles``."""
    pairs = torch.stack([packed & 0xF, packed >> 4], dim=-1)
    return pairs.flatten(-2).to(torch.int8) - 8


def _grouped(values: Tensor) -> Tensor:
    """Cut D into groups of ``GROUP``, the last filled up with zeros: [..., groups, GROUP]."""
    missing = -values.shape[-1] % GROUP
    padded = torch.nn.functional.pad(values, (0, missing))
    return padded.reshape(*values.shape[:-1], padded.shape[-1] // GROUP, GROUP)


def _quantize(values: Tensor, slot_format: str) -> tuple[Tensor, Tensor]:
    """Return int8 codes of the same shape and float16 scales without the last axis."""
    largest = _LARGEST_CODE[slot_format]
    exact = values.abs().amax(dim=-1) / largest  # not finite if any of the values is not
    _check_finite(exact)
    scales = exact.to(torch.float16)
    scales = torch.where(scales.float() < exact, _next_float16(scales), scales)
    if not bool(torch.isfinite(scales).all()):
        raise _too_large(slot_format)
    # A vector of zeros has scale 0; dividing by 1 instead keeps its codes zero.
    divisor = torch.where(scales > 0, scales, torch.ones_like(scales)).float()
    codes = (values / divisor.unsqueeze(-1)).round_().clamp_(-largest, largest)
    return codes.to(torch.int8), scales


def _check_finite(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise SharedCLIError(
            "the model made slots that are not finite numbers; use another --dtype (float32)"
        )


def _next_float16(scales: Tensor) -> Tensor:
    """The next larger float16 of non-negative ``scales``: their bits plus one."""
    return (scales.contiguous().view(torch.int16) + 1).view(torch.float16)


def _too_large(slot_format: str) -> SharedCLIError:
    return SharedCLIError(
        f"the model made slots too large for the slot format {slot_format}; use bfloat16"
    )
