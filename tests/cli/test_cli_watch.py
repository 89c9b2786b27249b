"""``sharedcli watch`` as a process: its events, its lines, and its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
PROSE = "The fog bell was rung by hand twice in every minute of the night.\n"


@pytest.fixture
def watching(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*flags: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sharedcli", "watch", "papers", "--settle", "0.2", *flags],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    Path("papers").mkdir()
    Path("papers", "a.txt").write_text(PROSE)
    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(stream: Any, event: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or found[-1]["event"] != event:
        found.append(json.loads(stream.readline()))
    return found


def test_events_come_as_files_change(watching: Callable[..., subprocess.Popen[str]]) -> None:
    process = watching("--json", "-q")
    first = read_until(process.stdout, "watching")
    assert first[0] == {"schema_version": 1, "event": "found", "files": 1}
    assert first[-1] == {"schema_version": 1, "event": "watching", "file": "papers"}
    Path("papers", "b.txt").write_text(PROSE * 2)
    news = read_until(process.stdout, "done")
    assert [one["event"] for one in news if "file" in one][-1] == "indexed"
    assert (news[-1]["new"], news[-1]["unchanged"]) == (1, 1)
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert (process.returncode, rest, said) == (0, "", "")


def test_lines_for_people(watching: Callable[..., subprocess.Popen[str]], cli: Cli) -> None:
    process = watching()
    assert process.stdout and process.stderr
    assert process.stdout.readline().startswith("1 new, 0 changed, 0 unchanged")
    while (line := process.stderr.readline()) != "watching papers; Ctrl-C ends it\n":
        assert line.startswith(("✓ papers/a.txt", "note: "))
    Path("papers", "a.txt").write_text("")
    assert process.stdout.readline().startswith("0 new, 0 changed, 0 unchanged, 1 failed")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert cli("check").code == 0


def test_what_cannot_be_watched(cli: Cli, environment: dict[str, str]) -> None:
    missing = cli("watch", "nowhere")
    assert (missing.code, missing.err) == (
        2,
        "error: nowhere is no folder; watch follows folders, index takes files\n",
    )
    assert cli("watch").code == 2
