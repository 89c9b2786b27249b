"""How the command's own process is set up."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sharedcli import process
from sharedcli.process import set_up


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(process, "_kept", [])
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


def test_what_is_kept_free_is_given_back_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process.return_freed_memory()  # a library that was imported changes nothing
    trimmed: list[int] = []
    calls(monkeypatch, gnu_get_libc_version=None, malloc_trim=trimmed.append)
    process.return_freed_memory()
    assert trimmed == [0]


def test_a_strangers_modules_in_the_current_folder_are_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for name in ("typer", "selectolax", "platformdirs"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')")
    (tmp_path / "a.html").write_text("<p>hello</p>")
    root = str(Path(process.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "sharedcli", "index", "a.html", "--dry-run", "--store", "s"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, "SHAREDCLI_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not mark.exists()


def test_the_package_that_runs_is_found_first_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(process.__file__).resolve().parents[1])
    monkeypatch.setattr(sys, "path", ["", root, "/other"])
    monkeypatch.chdir(root)
    assert process.search_path() == [root, "/other"]
    monkeypatch.setattr(sys, "path", ["/other"])
    assert process.search_path() == ["/other", root]
