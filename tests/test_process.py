"""How the command's own process is set up."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sharedcli.process import set_up


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def calls(monkeypatch: pytest.MonkeyPatch, **library: Any) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    library["mallopt"] = lambda name, value: made.append((name, value))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**library))
    set_up()
    return made


def test_glibc_is_told_to_keep_memory_and_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert calls(monkeypatch, gnu_get_libc_version=None) == [(-3, 32 << 20), (-2, 64 << 20)]
    assert gc.get_threshold() == (50_000, 20, 50)
    assert calls(monkeypatch) == []
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")  # somebody knows better
    assert calls(monkeypatch, gnu_get_libc_version=None) == []
