"""Memory of this process and of its device, in bytes.

Peak resident memory is the kernel's own high-water mark where it can be read (Linux), not
``ru_maxrss``, which Linux passes on from the process that started this one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_MEMORY = Path("/proc/meminfo")


def resident_bytes() -> int | None:
    """What this process holds in memory now; None where the system does not tell."""
    return _status("VmRSS")


def peak_resident_bytes() -> int | None:
    """The most that this process held since it started, or since ``reset_peak``."""
    found = _status("VmHWM")
    if found is not None or sys.platform == "win32":
        return found
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak(device: torch.device) -> None:
    """Start counting peaks anew, where the system allows it."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_device_bytes(device: torch.device) -> int | None:
    """The most that tensors took on a GPU since ``reset_peak``; None on a CPU."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def device_bytes(device: torch.device) -> int | None:
    """What tensors take on a GPU now; None on a CPU."""
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else None


def available_bytes(device: torch.device) -> int | None:
    """What could still be allocated on ``device``; None where the system does not tell."""
    if device.type == "cuda":
        # what torch holds and does not use is as good as free
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + idle
    try:
        fields = dict(line.split(":", 1) for line in _MEMORY.read_text("ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _status(name: str) -> int | None:
    try:
        for line in _STATUS.read_text("utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
