"""Device, number format, attention kernel and memory: what ``auto`` means on this machine.

Notable choices:
- bfloat16 on a CPU only where it has the instructions (AVX512-BF16 or AMX); elsewhere its
  emulation is slower than float32.
- Out-of-memory shows as three different exceptions; ``guard_memory`` makes one of them, which
  names the settings that need less.
"""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from sharedcli.errors import OutOfMemoryError, UsageError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "fp64": "float64"}
ATTENTION = ("sdpa", "eager", "flash_attention_2")

_AMPERE = (8, 0)
_CPU_FULL = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|DefaultCPUAllocator|bad_alloc",
    re.IGNORECASE,
)
_GPU_FULL = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|MPS backend out of memory", re.IGNORECASE
)


def resolve_device(spec: str = "auto") -> torch.device:
    """The device named by "auto", "cpu", "cuda", "cuda:1" or "mps".

    "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UsageError: no such kind of device, or this machine has none.
    """
    name = spec.strip().lower()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if _has_mps() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not _has_mps():
            raise UsageError("--device mps needs an Apple GPU and there is none; use --device cpu")
        return torch.device("mps")
    if match := re.fullmatch(r"cuda(?::(\d+))?", name):
        return _cuda(spec, match[1])
    raise UsageError(f"--device {spec} is unknown; use auto, cpu, cuda, cuda:N or mps")


def _cuda(spec: str, index: str | None) -> torch.device:
    if not torch.cuda.is_available():
        raise UsageError(
            f"--device {spec} needs an NVIDIA GPU that this torch can use and there is none; "
            "use --device cpu, or install a torch build with CUDA"
        )
    number = torch.cuda.current_device() if index is None else int(index)
    if number >= (count := torch.cuda.device_count()):
        raise UsageError(f"--device {spec}: this machine has {count} GPU(s), counted from 0")
    return torch.device("cuda", number)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_built() and torch.backends.mps.is_available())


def resolve_dtype(spec: str, device: torch.device) -> torch.dtype:
    """The number format named by "auto", "float32", "bfloat16", "float16" or "float64".

    "auto" takes bfloat16 where ``device`` computes in it, else float16 on a GPU, else float32.

    Raises:
        UsageError: unknown name, or the device cannot compute in it.
    """
    name = spec.strip().lower().removeprefix("torch.")
    name = _SHORT.get(name, name)
    if name == "auto":
        return _auto_dtype(device)
    if name not in DTYPES:
        raise UsageError(
            f"--dtype {spec} is unknown; use auto, float32, bfloat16, float16 or float64"
        )
    if name == "float64" and device.type == "mps":
        raise UsageError("Apple GPUs have no float64; use --dtype float32 or --device cpu")
    return DTYPES[name]


def _auto_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        # native support begins with compute capability 8.0; is_bf16_supported() also counts
        # emulation, which is slow
        native = torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
        return torch.bfloat16 if native else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (AVX512-BF16, AMX or Arm BF16)."""
    if getattr(torch.cpu, "_is_avx512_bf16_supported", bool)() or has_matrix_units():
        return True
    if platform.machine().lower() in ("aarch64", "arm64"):
        try:
            return " bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
    return False


def has_matrix_units() -> bool:
    """Whether this CPU multiplies tiles of matrices at once (AMX)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def resolve_attention(spec: str, device: torch.device, dtype: torch.dtype) -> str:
    """The attention implementation for ``transformers``: "sdpa", "eager", "flash_attention_2".

    Raises:
        UsageError: unknown name, or flash-attn is not installed, or not for this device or dtype.
    """
    name = spec.strip().lower()
    if name == "auto":
        return "sdpa"
    if name not in ATTENTION:
        raise UsageError(
            f"--attn-implementation {spec} is unknown; use sdpa, eager or flash_attention_2"
        )
    if name == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise UsageError(
            "--attn-implementation flash_attention_2 needs the package flash-attn; "
            "pip install 'sharedcli[flash]', or use sdpa"
        )
    if name == "flash_attention_2" and (reason := _why_no_flash(device, dtype)):
        raise UsageError(f"--attn-implementation flash_attention_2 needs {reason}; use sdpa")
    return name


def _why_no_flash(device: torch.device, dtype: torch.dtype) -> str:
    """What flash-attn lacks here; "" if nothing."""
    if device.type != "cuda":
        return f"a CUDA device, not {device.type}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"--dtype bfloat16 or float16, not {str(dtype).removeprefix('torch.')}"
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < _AMPERE:
        return f"an Ampere GPU or a later one, not {torch.cuda.get_device_name(device)}"
    return ""


@contextmanager
def guard_memory(task: str = "running the model") -> Iterator[None]:
    """Turn every form of out-of-memory inside the block into one error that says what to change.

    Args:
        task: what was being done, for the message.

    Raises:
        OutOfMemoryError: instead of torch's and Python's own exceptions.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(_gpu_message(task)) from error
    except MemoryError as error:
        raise OutOfMemoryError(_cpu_message(task)) from error
    except RuntimeError as error:
        if _CPU_FULL.search(str(error)):
            raise OutOfMemoryError(_cpu_message(task)) from error
        if _GPU_FULL.search(str(error)):
            raise OutOfMemoryError(_gpu_message(task)) from error
        raise


def _gpu_message(task: str) -> str:
    return (
        f"not enough GPU memory while {task}; try --quantization bnb-4bit, a smaller --budget "
        "or --passages, or --device cpu"
    )


def _cpu_message(task: str) -> str:
    return (
        f"not enough memory while {task}; try --quantization bnb-4bit, --dtype bfloat16, "
        "a smaller --budget or --passages, or a smaller --model"
    )
