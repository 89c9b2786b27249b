"""A tiny random model, a small library that is made once, and two ways to run the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sharedcli.cli.run import run
from sharedcli.store.store import Store

SAMPLE = Path(__file__).parents[2] / "sharedcli" / "samples" / "halvard-ridge.pdf"
NOTES = (
    "The lighthouse keeper wrote the weather into the book of the day.\n"
    "The lamp burned four litres of colza oil in a winter night.\n"
    "The fog bell was rung by hand twice in every minute.\n"
)


@dataclass(frozen=True)
class Result:
    """What one run left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as one JSON object."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def base_environment(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, str]:
    """An environment in which nothing of the user's is seen and no network is used."""
    home = tmp_path_factory.mktemp("home")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SHAREDCLI_", "XDG_")) and name not in ("NO_COLOR", "FORCE_COLOR")
    }
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "SHAREDCLI_CACHE": str(cache),
        "SHAREDCLI_OFFLINE": "1",
        "SHAREDCLI_DEVICE": "cpu",
        "SHAREDCLI_DTYPE": "float32",
        "SHAREDCLI_MAX_TOKENS": "8",
        "SHAREDCLI_CHUNK_TOKENS": "256",
        "SHAREDCLI_DEPTH": "2",
        "SHAREDCLI_SLOTS_PER_NODE": "8",
        "OMP_NUM_THREADS": "1",
        "TERM": "xterm-256color",
    }


@pytest.fixture(scope="session")
def made_library(
    base_environment: dict[str, str],
    tiny_folder: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A store with the sample and a note in it; never changed, only copied."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "notes.txt").write_text(NOTES, encoding="utf-8")
    shutil.copy(SAMPLE, folder / "halvard-ridge.pdf")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in base_environment.items():
            patch.setenv(name, value)
        patch.setenv("SHAREDCLI_MODEL", str(tiny_folder("llama")))
        patch.chdir(folder)
        code = run(["index", "halvard-ridge.pdf", "notes.txt", "--store", "store", "-q"])
    assert code == 0
    return folder


@pytest.fixture
def environment(
    base_environment: dict[str, str],
    tiny_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[dict[str, str]]:
    """The environment of one test, in an empty folder, with an empty store's place in it."""
    here = {
        **base_environment,
        "SHAREDCLI_MODEL": str(tiny_folder("llama")),
        "SHAREDCLI_HOME": str(tmp_path / "store"),
    }
    for name in list(os.environ):
        if name.startswith("SHAREDCLI_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield here
    os.environ.pop("SHAREDCLI_DEBUG", None)


@pytest.fixture
def library(environment: dict[str, str], made_library: Path, tmp_path: Path) -> Path:
    """A copy of the small library in the current folder, as if it had been made there."""
    shutil.copytree(made_library, tmp_path, dirs_exist_ok=True)
    with Store.open(tmp_path / "store") as store:
        for record in store.documents():
            store.relocate(record.id, source=record.source)
    return tmp_path


@pytest.fixture
def cli(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process."""

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def process(environment: dict[str, str]) -> Callable[..., Result]:
    """Run the command line in a process of its own."""

    def call(*arguments: str, stdin: str | None = None, **environ: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "sharedcli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            env={**environment, **environ},
            timeout=120,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call
