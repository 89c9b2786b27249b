"""Jobs in child processes: results, errors, deaths; plans survive the way there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.benchmarks import children
from sharedcli.benchmarks.children import Jobs, run_child
from sharedcli.benchmarks.plan import Plan
from sharedcli.errors import OutOfMemoryError, SharedCLIError, UsageError

MakePlan = Callable[..., Plan]


def _quiet(_done: int, _total: int, _what: str) -> None:
    pass


def _replace_child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(children, "_BOOT", f"import os, sys, json, signal\n{code}")


def test_a_plan_survives_json(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(stores={256: tmp_path / "a"}, text="x.txt", forward_only=True)
    assert Plan.from_plain(json.loads(json.dumps(plan.to_plain()))) == plan


def test_a_job_in_a_process_of_its_own(make_plan: MakePlan) -> None:
    found = run_child("answer", make_plan(), _quiet, method="sharedllm", context=200)
    assert found["refused"] == ""
    assert found["peak_bytes"] >= found["base_bytes"] > 0
    assert found["slots"] > 0
    assert found["run"]["model"] == "tiny-llama"


def test_errors_of_a_child_are_its_own(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(model=str(tmp_path / "nowhere"))
    with pytest.raises(SharedCLIError) as raised:
        run_child("answer", plan, _quiet, method="full", context=200)
    assert "nowhere" in str(raised.value)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", OutOfMemoryError, "for lack of memory"),
        ("sys.exit(7)", SharedCLIError, "ended with code 7"),
        ("sys.exit(130)", KeyboardInterrupt, "^$"),
        ("print(json.dumps({'error': ['UsageError', 'no']}))", UsageError, "no"),
        ("print(json.dumps({'error': ['exit', 'no']}))", SharedCLIError, "no"),
    ],
)
def test_how_a_child_ends(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, code: str, kind: Any, message: str
) -> None:
    _replace_child(monkeypatch, code)
    with pytest.raises(kind, match=message):
        run_child("answer", make_plan(), _quiet)


def test_progress_is_told_and_a_refusal_is_a_result(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, str]] = []
    jobs = Jobs(lambda *now: told.append(now))
    _replace_child(
        monkeypatch,
        "print(json.dumps({'progress': [1, 2, 'x']}))\nprint(json.dumps({'result': {'a': 1}}))",
    )
    assert jobs.run("answer", make_plan()) == {"a": 1}
    jobs.say("now")
    assert told == [(1, 2, "x"), (0, 0, "now")]
    _replace_child(monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)")
    assert "lack of memory" in jobs.attempt("answer", make_plan())["refused"]


def test_a_child_does_not_outlive_the_owner(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_now: Any) -> None:
        raise KeyboardInterrupt

    pids: list[int] = []
    real = children.subprocess.Popen

    def remember(*arguments: Any, **options: Any) -> Any:
        process = real(*arguments, **options)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(children.subprocess, "Popen", remember)
    code = "print(json.dumps({'progress': [0, 1, 'x']}), flush=True)\nsignal.pause()"
    _replace_child(monkeypatch, code)
    with pytest.raises(KeyboardInterrupt):
        Jobs(interrupt).run("answer", make_plan())
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], signal.SIGTERM)


def test_the_owner_needs_no_tensors() -> None:
    names = ("latency", "memory", "indexing", "storing", "report", "children", "published")
    code = "".join(f"import sharedcli.benchmarks.{name}\n" for name in names)
    code += "import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
