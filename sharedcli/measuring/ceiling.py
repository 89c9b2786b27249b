"""What the hardware could do at most: matrix products and memory copies.

The peak of well-known accelerators is their data sheets' (dense, half precision); of all others,
CPUs among them, it is measured with a large matrix product, which says what can be reached here and
now. Both are named for what they are. torch is imported by what measures, not by who reads figures.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Dense bf16 (T4: fp16) tensor peak in TFLOP/s, from the makers' data sheets; first match counts.
_KNOWN = (
    ("H200", 989.0),
    ("H100 PCIe", 756.0),
    ("H100", 989.0),
    ("GH200", 989.0),
    ("B200", 2250.0),
    ("A100", 312.0),
    ("A800", 312.0),
    ("L40S", 362.0),
    ("L4", 121.0),
    ("A10G", 70.0),
    ("A10", 125.0),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71.0),
    ("T4", 65.0),
)
_REPEATS = 5
_SHAPES = ((4096, 4096, 4096),)
# Libraries divide some shapes among threads and others not: bfloat16 on two cores takes as long for
# the first of these as on one, and the last reaches twice as much.
_SHAPES_CPU = ((1024, 1024, 1024), (4096, 1024, 1024), (8192, 512, 512))


@dataclass(frozen=True)
class Peak:
    """Operations per second, and where the figure is from: "data sheet" or "measured"."""

    flops: float
    origin: str
    name: str


@dataclass(frozen=True)
class Ceiling:
    """What a plain matrix product and a plain copy reach here and now.

    ``flops`` are operations per second, ``bytes`` bytes read and written per second.
    """

    flops: float
    bytes: float


def peak_of(device: torch.device, dtype: torch.dtype, processes: int = 1) -> Peak:
    """The peak of all ``processes`` together."""
    import torch

    name = "CPU"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for part, teraflops in _KNOWN:
            if re.search(rf"\b{part}\b", name) and dtype != torch.float32:
                return Peak(teraflops * 1e12 * processes, "data sheet", name)
    return Peak(measured_flops(device, dtype) * processes, "measured", name)


def measured_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """Measure both, in about a second."""
    return Ceiling(measured_flops(device, dtype), measured_bytes(device))


def measured_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a matrix product, the best of several shapes and repeats."""
    import torch

    best = 0.0
    for rows, inner, columns in _SHAPES_CPU if device.type == "cpu" else _SHAPES:
        left = torch.ones(rows, inner, dtype=dtype, device=device)
        right = torch.ones(inner, columns, dtype=dtype, device=device)
        seconds = _best(partial(torch.matmul, left, right), device)
        best = max(best, 2 * rows * inner * columns / seconds)
    return best


def measured_bytes(device: torch.device) -> float:
    """Bytes read and written per second by a copy that no cache holds, the best of several."""
    import torch

    size = (256 if device.type == "cpu" else 1024) << 20
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / _best(lambda: target.copy_(source), device)


def _best(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    """Seconds of the fastest of several repeats; reading one value waits for the device."""
    best = float("inf")
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        float(work().flatten()[0])
        best = min(best, time.perf_counter() - begin)
    return best
