"""How much memory this process has taken at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def peak_bytes() -> int | None:
    """Peak resident set size of this process in bytes; None where the system does not tell."""
    try:
        # not getrusage: on Linux its peak is inherited from whatever started this program
        found = _HIGH_WATER.search(Path("/proc/self/status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    except (OSError, UnicodeDecodeError):
        pass
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
