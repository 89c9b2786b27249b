"""``train`` from the command line: runs, resumes, stops, estimates, refuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from sharedcli.cli.app import app

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "training.md"
RECIPE = """
name = "tiny"
precision = "fp32"
save_minutes = 0.0
[adapter]
injected_layers = 2
compressor_rank = 4
decoder_rank = 4
[adapter.geometry]
chunk_tokens = 64
slots_per_node = 4
[[stages]]
  [[stages.curriculum]]
  context_tokens = [96]
  running_tokens = [24]
  ratios = [2, 8]
[evaluation]
samples = 2
context_tokens = 64
running_tokens = 24
every_minutes = 0.0
"""


@pytest.fixture
def arguments(environment: dict[str, str], tmp_path: Path) -> list[str]:
    """``train`` with a small recipe and a folder of the user's own documents."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for i in range(12):
        text = f"The book of day {i}: the ships, the tides and the market of year {i}. " * 12
        (folder / f"day-{i}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    return ["train", "--recipe", "tiny.toml", "--data", "documents", "--output", "run"]


def test_a_folder_of_documents_becomes_an_adapter_that_ask_takes(
    cli: Callable[..., Any], arguments: list[str]
) -> None:
    done = cli(*arguments, "--steps", "3")
    assert done.code == 0, done.err
    assert done.out == "run/adapter\n"
    assert "STEP 0, TEXT" in done.err
    assert "gap closed" in done.err
    assert "step 3  100%" in done.err
    index = cli("index", "documents/day-1.txt", "--adapter", "run/adapter", "-q")
    assert index.code == 0, index.err
    answer = cli("ask", "Which market?", "--adapter", "run/adapter", "--json")
    assert answer.code in (0, 4), answer.err


def test_json_is_an_event_a_line(cli: Callable[..., Any], arguments: list[str]) -> None:
    done = cli(*arguments, "--steps", "2", "--seed", "3", "--json", "-q")
    assert done.code == 0, done.err
    assert done.err == ""
    events = [line["event"] for line in done.lines]
    assert [e for e in events if e != "note"] == [
        "heldout",
        "step",
        "step",
        "heldout",
        "checkpoint",
        "finished",
    ]
    steps = [line for line in done.lines if line["event"] == "step"]
    assert [line["step"] for line in steps] == [1, 2]
    assert steps[-1]["share"] == 1
    assert json.loads(Path("run/run.json").read_text())["recipe"]["seed"] == 3


def test_a_dry_run_says_what_it_would_take_and_leaves_nothing(
    cli: Callable[..., Any], arguments: list[str]
) -> None:
    shown = cli(*arguments, "--steps", "50", "--dry-run")
    assert shown.code == 0, shown.err
    for word in ("parameters", "tokens for training", "memory", "2 CPU cores", "one modern GPU"):
        assert word in shown.out
    data = cli(*arguments, "--steps", "50", "--dry-run", "--json").lines[-1]
    assert data["event"] == "estimate"
    assert data["steps"] == 50
    assert data["trained"]["decoder"] > 0
    assert not Path("run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_keeps_the_last_step_and_the_same_command_goes_on(
    environment: dict[str, str], arguments: list[str], cli: Callable[..., Any]
) -> None:
    command = [sys.executable, "-m", "sharedcli", *arguments, "--steps", "100000", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line).get("step") == 2 and json.loads(line)["event"] == "step":
                break
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130, err
    assert "Traceback" not in err
    match = re.search(r"stopped after step (\d+); the same command goes on", err)
    assert match is not None
    reached = int(match[1])
    assert reached >= 2
    again = cli(*arguments, "--steps", str(reached + 1), "--json")
    assert again.code == 0, again.err
    assert [row["step"] for row in again.lines if row["event"] == "step"] == [reached + 1]


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (["--recipe", "nothing"], 2, "there is no recipe nothing; give a TOML file, or one of"),
        (["--set", "stages.bach=2"], 2, "no key 'bach' in stages.0; did you mean batch?"),
        (["--set", "adapter.injected_layers=40"], 2, "cannot inject 40 layers into a base of 4"),
        (["--set", "stages.questions=1.0"], 2, "needs passages with questions"),
        (["--data", "broken.jsonl"], 1, "broken.jsonl, line 2 is not JSON"),
        (["--data", "missing/*.jsonl"], 2, "--data missing/*.jsonl matches no file"),
        (["--holdout", "nobody"], 2, "--holdout nobody is in no document's source"),
        (["--device", "cuda"], 2, "--device cuda needs an NVIDIA GPU"),
        (["--adapter", "missing"], 1, "cannot read the adapter in missing"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    cli: Callable[..., Any], arguments: list[str], extra: list[str], code: int, message: str
) -> None:
    Path("broken.jsonl").write_text('{"source": "a", "text": "b"}\n{"source":\n', encoding="utf-8")
    done = cli(*arguments, "--steps", "1", *extra)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert not Path("run").exists()


def test_the_guide_describes_every_option() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    names = {name for p in command.params for name in p.opts if name.startswith("--")}
    assert names - set(re.findall(r"--[a-z0-9-]+", text)) <= {"--help"}


def test_a_shortcut_is_fitted_to_a_trained_adapter_and_serves_its_trees(
    cli: Callable[..., Any], arguments: list[str]
) -> None:
    assert cli(*arguments, "--steps", "2").code == 0
    fit = ("model", "shortcut", "--data", "documents", "--tokens", "3000", "-o", "short")
    layers = ("--exit-layer", "1", "--pruning-layer", "2")
    done = cli(*fit, *layers, "--adapter", "run/adapter")
    assert done.code == 0, done.err
    assert re.fullmatch(
        r"short: a shortcut from layer 1 to 2, from 3,\d\d\d tokens; "
        r"of the text left out among them it does not explain [\d.]+% of keys "
        r"and [\d.]+% of values\n",
        done.out,
    )
    made = json.loads(Path("short/adapter.json").read_text())
    old = json.loads(Path("run/adapter/adapter.json").read_text())
    assert made["geometry"] == {**old["geometry"], "exit_layer": 1, "pruning_layer": 2}
    Path("note.txt").write_text("The lighthouse of Nes was built in 1874. " * 40)
    assert cli("index", "note.txt", "--adapter", "run/adapter").code == 0
    again = cli("index", "note.txt", "--adapter", "short", "--json").lines[-1]
    assert again["unchanged"] == 1
    as_json = cli(*fit, *layers, "--adapter", "run/adapter", "--json").json
    assert as_json["exit_layer"] == 1
    assert 0 <= as_json["keys_unexplained"] < 1


def test_a_shortcut_needs_a_trained_adapter(cli: Callable[..., Any], arguments: list[str]) -> None:
    fit = ("model", "shortcut", "--data", "documents", "-o", "short", "--adapter", "none")
    refused = cli(*fit, "--exit-layer", "1", "--pruning-layer", "2")
    assert refused.code == 2
    assert "a shortcut needs a trained adapter" in refused.err
    assert not Path("short").exists()
