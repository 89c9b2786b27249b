"""On a real terminal: colours, questions before removal, Ctrl-C."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

pexpect = pytest.importorskip("pexpect")

Cli = Callable[..., Any]


def _start(environment: dict[str, str], *arguments: str, **environ: str) -> Any:
    return pexpect.spawn(
        sys.executable,
        ["-m", "sharedcli", *arguments],
        env={**environment, **environ},
        encoding="utf-8",
        dimensions=(40, 100),
        timeout=100,
    )


def _ends(child: Any) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return -child.signalstatus if child.signalstatus else child.exitstatus


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_on_a_terminal(
    library: Path, environment: dict[str, str], environ: dict[str, str], coloured: bool
) -> None:
    child = _start(environment, "list", **environ)
    assert _ends(child) == 0
    assert ("\x1b[" in child.before) is coloured
    assert "halvard-ridge.pdf" in child.before


def test_answers_are_broken_between_words(
    library: Path, environment: dict[str, str], cli: Cli
) -> None:
    question = ("ask", "What does the lighthouse oil cost?", "--quiet")
    whole = cli(*question).out
    child = _start(environment, *question, COLUMNS="12")
    assert _ends(child) == 0
    lines = child.before.replace("\r\n", "\n").split("\n")
    assert len(lines) > 2
    assert max(map(cell_len, lines)) <= 12
    assert "".join(child.before.split()) == "".join(whole.split())


def test_index_moves_and_leaves_its_lines(library: Path, environment: dict[str, str]) -> None:
    child = _start(environment, "index", "notes.txt", "--force")
    child.expect(r"\x1b\[\?25l")  # the cursor goes while something moves
    child.expect("✓")
    child.expect(r"\x1b\[\?25h")
    child.expect("0 new, 1 changed")
    assert _ends(child) == 0


def test_index_on_a_dumb_terminal_does_not_move(library: Path, environment: dict[str, str]) -> None:
    child = _start(environment, "index", "notes.txt", "--force", TERM="dumb")
    assert _ends(child) == 0
    assert "\x1b" not in child.before


def test_rm_asks(library: Path, environment: dict[str, str], cli: Cli) -> None:
    child = _start(environment, "rm", "notes.txt")
    child.expect(r"Remove 1 document\? \[y/N\]")
    child.sendline("n")
    assert _ends(child) == 1
    assert "nothing was changed" in child.before
    assert "notes.txt" in cli("list").out
    child = _start(environment, "rm", "notes.txt")
    child.expect(r"\[y/N\]")
    child.sendline("y")
    assert _ends(child) == 0
    assert "notes.txt" not in cli("list").out


def test_ctrl_c_while_waiting_for_the_question(library: Path, environment: dict[str, str]) -> None:
    child = _start(environment, "ask", "-")
    child.expect("type the question")
    child.sendintr()
    assert _ends(child) == 130
    assert "Traceback" not in child.before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_index_keeps_what_is_done(
    library: Path, environment: dict[str, str], cli: Cli, number: signal.Signals, code: int
) -> None:
    Path("long.txt").write_text("The keeper wrote the weather into the book.\n" * 15_000)
    child = _start(environment, "index", "notes.txt", "long.txt")
    child.expect("compressing long.txt")
    child.kill(number)
    assert _ends(child) == code
    assert "Traceback" not in child.before
    assert "\x1b[?25h" in child.before  # the cursor is back
    listed = [one["source"] for one in cli("list", "--json").json["documents"]]
    assert listed == ["halvard-ridge.pdf", "notes.txt"]
    assert cli("check").code == 0


def test_help_fits_the_terminal(environment: dict[str, str]) -> None:
    child = _start(environment, "ask", "--help")
    assert _ends(child) == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", child.before).splitlines()
    assert max(len(line) for line in lines) <= 100
    for panel in ("Answer", "Model", "Context tree", "Places", "Output"):
        assert any(line.startswith(f"╭─ {panel} ") for line in lines)
