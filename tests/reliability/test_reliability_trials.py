"""The long trials, in small; ``docs/reference/reliability.md`` has them at full size."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import canary_trial
import concurrency_trial
import disk_trial
import fuzz_trial
import hostile_trial
import kill_trial
import no_op_trial
import offline_trial
import payload_trial
import pytest
import trial_setup
from fuzz_run import Run

from sharedcli.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_readers_and_writers(tmp_path: Path) -> None:
    found = concurrency_trial.readers_and_writers(tmp_path / "s", readers=3, writers=2, seconds=1)
    assert found == {"processes": 5, "failed": 0, "lost": 0, "damaged": 0}


def test_commands_at_once(tmp_path: Path) -> None:
    found = concurrency_trial.commands(tmp_path, 3)
    assert (found["failed"], found["tracebacks"], found["lost"], found["damaged"]) == (0,) * 4


def test_no_word_of_another_document_shows(
    tiny_folder: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    settings = Settings(
        store=tmp_path / "store",
        cache=cache,
        model=str(tiny_folder("llama")),
        device="cpu",
        dtype="float32",
        offline=True,
        inject="always",
        max_tokens=4,
        **trial_setup.SIZES,  # type: ignore[arg-type]
    )
    found = canary_trial.trial(settings, tmp_path / "documents", 12, 16, restarts=1)
    assert found["leaks"] == 0
    assert found["starts"] == 2
    assert found["own word in the prompt"] > 4  # else nothing was looked at
    assert found["with slots"] > 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_runs_tear_and_lose_nothing(tmp_path: Path) -> None:
    run = Run("kills", float("inf"), tmp_path)
    assert kill_trial.trial(tmp_path, 8, run) > 30
    assert run.counts["kills"] == run.counts["whole"] == 8
    assert run.counts["at a durable call"] == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_kill_would_lose_is_noticed(tmp_path: Path) -> None:
    folder = kill_trial.Folder(tmp_path)
    folder.reset()
    told = str(folder.path / "first.txt")
    assert kill_trial.judge(folder, [("indexed", told, "id")]) == "lost"
    folder.reset()
    blob = next(folder.store.rglob("*.safetensors"))
    blob.write_bytes(blob.read_bytes()[:-1])
    assert kill_trial.judge(folder, []) == "torn"


def test_failing_disks_tear_nothing(tmp_path: Path) -> None:
    found = disk_trial.trial(tmp_path, ("short", "lying"))
    assert found["short"]["struck"] == found["short"]["new store"] > 5
    assert found["lying"]["struck"] == found["lying"]["told by a sentence"] > 5
    assert found["short"]["torn"] == found["lying"]["torn"] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_hostile_files_cost_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["zip bomb.docx", "cyclic pages.pdf", "NULs.txt", "name with a \n newline.txt"]
    found = hostile_trial.trial(tmp_path / "files", names)
    said = capsys.readouterr().out
    assert "name with a \\x0a newline.txt" in said
    assert (found["files"], found["read"], found["refused"]) == (9, 2, 7), said
    assert found["over 1 GiB"] == 0
    assert 20 < found["most MB"] < 500


def test_payloads_stay_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHAREDCLI_HOME", str(tmp_path))
    found = payload_trial.trial(every=15)
    assert found["runs"] == 8 * found["payloads"] > 40
    assert found["characters"] > 10_000
    assert found["got through"] == 0


def test_a_folder_without_news_loads_no_model(tmp_path: Path) -> None:
    found = no_op_trial.trial(tmp_path, files=5, runs=1)
    assert "5 unchanged" in str(found["said"])


def test_offline_means_no_connection(tmp_path: Path) -> None:
    env = trial_setup.environment(tmp_path, str(trial_setup.tiny_model(tmp_path / "model")))
    found = offline_trial.trial(env, tmp_path)
    assert found == {"codes": [0] * 7, "attempts": []}


@pytest.mark.parametrize("target", sorted(fuzz_trial.TARGETS))
def test_damage_leads_to_errors_made_on_purpose(target: str, tmp_path: Path) -> None:
    found = fuzz_trial.trial(target, tmp_path / "place", seconds=1.0)
    assert found["crashes"] == found["wrong answers"] == 0
    assert sum(found.values()) > 4


def test_every_command_of_the_page_is_there() -> None:
    page = (ROOT / "docs" / "reference" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"tests/[\w/]+\.py", page)
    assert len(set(named)) > 8
    assert [name for name in named if not (ROOT / name).is_file()] == []
