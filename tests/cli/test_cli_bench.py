"""``sharedcli bench`` on a tiny model: one JSON object, tables, files, and clear refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.benchmarks import children
from sharedcli.engine.engine import Engine

Cli = Callable[..., Any]
QUICK = ("--runs", "1", "--answer-tokens", "3")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do jobs in this process, without the sentence encoder."""

    def perform(job: str, plan: Any, tell: Any, **arguments: Any) -> Any:
        from sharedcli.benchmarks.jobs import registry

        return registry.perform(job, plan, tell, **arguments)

    monkeypatch.setattr(children, "run_child", perform)
    monkeypatch.setattr(Engine, "encoder", lambda _engine: None)


def test_latency_puts_one_object_on_stdout(
    environment: dict[str, str], cli: Cli, here: None, tmp_path: Path
) -> None:
    names = "sharedllm,streaming,encoder-decoder"
    call = ("bench", "latency", "--methods", names, "--context", "1K", *QUICK)
    result = cli(*call, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert [one["method"] for one in found["methods"]] == names.split(",")
    for one in found["methods"]:
        assert one["context"] == 1024
        for name in ("seconds", "ttft_seconds", "tokens_per_second", "peak_bytes"):
            assert one[name] > 0
    assert found["baseline"] == "streaming"
    assert found["run"]["model"] == "tiny-llama"
    assert not list(tmp_path.glob("*.json"))  # files come with --output only
    table = cli(*call, "--output", "out", "--context", "512,1K", "--baseline", "sharedllm")
    assert table.out.startswith("METHOD")
    assert "x sharedllm" in table.out
    assert "ROOFLINE" in table.out
    assert "ceiling of this run" in table.err
    assert {"latency.json", "latency.md", "latency.png"} <= {
        path.name for path in Path("out").iterdir()
    }


def test_memory_storage_and_index(environment: dict[str, str], cli: Cli, here: None) -> None:
    memory = cli("bench", "memory", "--context", "512", "--answer-tokens", "3", "--json")
    assert memory.code == 0, memory.err
    assert [one["method"] for one in memory.json["methods"]] == ["index", "ask"]
    storage = cli("bench", "storage", "--context", "512", "--running", "32", "--json")
    assert storage.code == 0, storage.err
    assert "int4 nested" in [one["method"] for one in storage.json["methods"]]
    index = cli("bench", "index", "--context", "512", "--json")
    assert index.code == 0, index.err
    assert index.json["profile"]["shares"]["matrix"] > 0
    assert cli("bench", "index", "--context", "512").out.startswith("TOKENS")


def test_random_weights_of_a_configuration(
    environment: dict[str, str], cli: Cli, here: None, tiny_folder: Callable[[str], Path]
) -> None:
    model = f"random:{tiny_folder('llama')}"
    call = ("bench", "latency", "--methods", "sharedllm", "--context", "512", "--no-memory")
    found = cli(*call, *QUICK, "--model", model, "--json")
    assert found.code == 0, found.err
    assert found.json["run"]["model"] == model
    assert found.json["methods"][0]["peak_bytes"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("latency", "--methods", "magic"), 2, "there is no method 'magic'; use some of full"),
        (("latency", "--methods", "full@9"), 2, "'full@9' is no method with a budget"),
        (("latency", "--context", "0"), 2, "--context takes tokens like 32768 or 8K,32K,1M"),
        (("latency", "--context", "many"), 2, "not 'many'"),
        (("latency", "--context", "8K,,"), 2, "not '8K,,'"),
        (("latency", "--context", "99M"), 2, "not '99M'"),
        (("latency", "--context", "-5"), 2, "not '-5'"),
        (("latency", "--baseline", "full", "--methods", "streaming"), 2, "'full' is not measured"),
        (("latency", "--answer-tokens", "0"), 2, "--answer-tokens"),
        (("latency", "--runs", "x"), 2, "--runs"),
        (("latency", "--decoder", "fast"), 2, "--decoder is product or forward, not 'fast'"),
        (("latency", "--text", "none.txt"), 1, "none.txt cannot be read"),
        (("latency", "-m", "random:gpt-9"), 2, "there is no configuration 'gpt-9'"),
        (("memory", "--methods", "train"), 2, "there is no method 'train'; use some of index"),
        (("storage", "none.txt"), 1, "none.txt cannot be read"),
        (("storage", "--context", "1K,2K"), 2, "--context takes one length here"),
        (("storage", "--context", "1M"), 2, "no document has 1,048,832 tokens"),
        (("index", "--context", ""), 2, "not ''"),
    ],
)
def test_one_clear_sentence(  # noqa: PLR0917
    environment: dict[str, str],
    cli: Cli,
    here: None,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    result = cli("bench", *arguments)
    assert result.code == code, result.err
    assert sentence in result.err
    assert result.err.count("error: ") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no signals as on POSIX")
def test_ctrl_c_ends_it_and_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "sharedcli", "bench", "index", "--context", "256K"],
        env={**environment, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 100
    while not list(place.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert list(place.iterdir())
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, "interrupted" in err) == ("", True)
    assert not list(place.iterdir())
