"""How a process of the command's own uses memory; a library that is imported leaves that alone."""

from __future__ import annotations

import ctypes
import gc
import os

_MMAP_THRESHOLD, _TOP_PAD = -3, -2  # of malloc.h
_BLOCK = 32 << 20
"""The largest that glibc takes from its heaps; beyond, each block is mapped and unmapped."""
_AHEAD = 64 << 20


def set_up() -> None:
    """Look rarely for cycles, and keep freed memory for what comes next."""
    # Imports make a million objects that stay: looking through them again and again for cycles
    # took a third of a second until the models were there.
    gc.set_threshold(50_000, 20, 50)
    _keep_freed_memory()


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
