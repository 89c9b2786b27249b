"""How a process of the command's own finds code and uses memory.

A library that is imported leaves both alone.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

_MMAP_THRESHOLD, _TOP_PAD = -3, -2  # of malloc.h
_BLOCK = 32 << 20
"""The largest that glibc takes from its heaps; beyond, each block is mapped and unmapped."""
_AHEAD = 64 << 20


_PACKAGE_ROOT = str(Path(__file__).resolve().parents[1])


def search_path() -> list[str]:
    """Where a process of our own looks for modules: as this one does, but not where it stands.

    ``python -m`` searches the current folder first, and modules among a stranger's documents are
    none of ours. The package that is running stays where it is found.
    """
    try:
        here = str(Path.cwd().resolve())
    except OSError:  # it was removed
        here = ""
    named = [Path(path) for path in sys.path if path]
    real = [str(path.resolve()) for path in named if here or path.is_absolute()]
    paths = [path for path in real if path == _PACKAGE_ROOT or path != here]
    return paths if _PACKAGE_ROOT in paths else [*paths, _PACKAGE_ROOT]


def set_up() -> None:
    """Look rarely for cycles, and keep freed memory for what comes next."""
    # Imports make a million objects that stay: looking through them again and again for cycles
    # took a third of a second until the models were there.
    gc.set_threshold(50_000, 20, 50)
    _keep_freed_memory()


def return_freed_memory() -> None:
    """Give back what is kept free, which grows as its pieces come to lie apart; takes 0.03 s.

    Nothing happens in a process that was not set up so.
    """
    if _kept:
        _kept[0].malloc_trim(0)


_kept: list[ctypes.CDLL] = []
"""The C library, where it keeps freed memory."""


def _keep_freed_memory() -> None:
    """Let glibc grow its heaps in large steps and give no tensor's memory back at once.

    Otherwise every large temporary comes as new pages, which the system clears one by one.
    """
    told = any(name.startswith("MALLOC_") for name in os.environ)
    if told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or os.name != "posix":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):  # elsewhere the numbers mean other things
        library.mallopt(_MMAP_THRESHOLD, _BLOCK)
        library.mallopt(_TOP_PAD, _AHEAD)
        _kept[:] = [library]
