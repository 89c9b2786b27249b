"""Exit codes, error messages, closed pipes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from sharedcli import __version__, errors
from sharedcli.engine.engine import Engine
from sharedcli.store.store import Store

Cli = Callable[..., Any]


def _raise(error: BaseException) -> Callable[..., None]:
    def call(*_arguments: object, **_options: object) -> None:
        raise error

    return call


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"sharedcli {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("list", "--nothing"),
        ("show",),
        ("ask", "why?", "--budget", "many"),
        ("ask", "why?", "--budget", "-1"),
        ("ask", "why?", "--inject", "sometimes"),
        ("ask", "  "),
        ("index", ".", "--load-in-4bit", "--quantization", "bnb-8bit"),
    ],
)
def test_wrong_usage_is_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


def test_no_store_is_10_and_says_what_to_do(cli: Cli) -> None:
    for command in (["list"], ["show", "x"], ["ask", "why?"], ["stats"], ["check"], ["gc"]):
        result = cli(*command)
        assert result.code == 10, command
        assert "sharedcli index FILE" in result.err


@pytest.mark.parametrize(("setting", "coloured"), [("never", False), ("auto", True)])
def test_errors_have_the_colour_that_is_set(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, setting: str, coloured: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("SHAREDCLI_COLOR", setting)
    assert ("\x1b" in cli("list", "--store", "nowhere").err) == coloured


def test_errors_have_the_colour_of_the_settings_file(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    Path("sharedcli.toml").write_text('color = "never"\n')
    assert "\x1b" not in cli("list", "--store", "nowhere").err


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_a_variable_asks_for_tracebacks(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, value: str, shown: bool
) -> None:
    monkeypatch.setenv("SHAREDCLI_DEBUG", value)
    assert ("Traceback" in cli("list", "--store", "nowhere").err) == shown


def test_unknown_document_is_10(library: Path, cli: Cli) -> None:
    for command in (["show", "nope"], ["rm", "nope", "--yes"], ["ask", "why?", "--doc", "nope"]):
        assert cli(*command).code == 10


def test_locked_store_is_11(library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**Store.open.__func__.__kwdefaults__, "lock_timeout": 0.05}
    monkeypatch.setattr(Store.open.__func__, "__kwdefaults__", options)
    with FileLock(library / "store" / "lock"):
        result = cli("rm", "notes.txt", "--yes")
    assert result.code == 11
    assert cli("list").out.count("notes.txt") == 1


def test_other_geometry_is_12_and_named(library: Path, cli: Cli) -> None:
    result = cli("ask", "What burned?", "--doc", "notes.txt", "--chunk-tokens", "128")
    assert result.code == 12
    assert "chunk_tokens" in result.err
    assert "sharedcli index" in result.err


def test_damage_is_13_and_named(library: Path, cli: Cli) -> None:
    blob = max((library / "store").rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(content)
    result = cli("check", "--json")
    assert result.code == 13
    assert result.json["clean"] is False
    assert result.json["damaged"][0]["source"] == "halvard-ridge.pdf"
    plain = cli("check")
    assert plain.code == 13
    assert "sharedcli index" in plain.out


def test_missing_model_is_14(library: Path, cli: Cli) -> None:
    assert cli("ask", "why?", "--model", "./no-model").code == 14
    assert cli("index", "notes.txt", "--model", "default").code == 14


def test_out_of_memory_is_15(library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "ask", _raise(MemoryError()))
    assert cli("ask", "why?").code == 15
    monkeypatch.setattr(Engine, "ask", _raise(errors.OutOfMemoryError("too large; do this")))
    assert cli("ask", "why?").code == 15


def test_interruption_is_130_without_a_traceback(
    library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "ask", _raise(KeyboardInterrupt()))
    result = cli("ask", "why?")
    assert (result.code, result.out) == (130, "")
    assert result.err.strip() == "interrupted"


def test_an_unexpected_error_shows_its_traceback_only_with_debug(
    library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "documents", _raise(ZeroDivisionError("by \x1b[31mzero")))
    plain = cli("list")
    assert plain.code == 1
    assert plain.err.startswith("error: unexpected ZeroDivisionError: by zero")
    assert "Traceback" not in plain.err
    debugged = cli("list", "--debug")
    assert debugged.code == 1
    assert "Traceback" in debugged.err
    assert "\x1b" not in plain.err + debugged.err


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("list", "--json"), "NoStoreError", 10),
        (("list", "--json", "--nothing"), "UsageError", 2),
        (("ask", "", "--json"), "UsageError", 2),
    ],
)
def test_errors_as_json(cli: Cli, arguments: tuple[str, ...], kind: str, code: int) -> None:
    result = cli(*arguments)
    assert result.code == code
    error = result.json["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert error["message"]
    assert result.err.startswith("error: ")


def test_a_question_that_looks_like_an_option_asks_for_no_json(cli: Cli) -> None:
    result = cli("ask", "--", "--json")
    assert (result.code, result.out) == (10, "")


def _piped(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    shell = f"set -o pipefail; {shlex.quote(sys.executable)} -m sharedcli {command}"
    return subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env=environment, timeout=120
    )


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    "command",
    [
        "show halvard-ridge.pdf --text | head -n 1",
        "show halvard-ridge.pdf --text --json | head -c 1",
        "--help | head -n 1",
        "tree halvard-ridge.pdf --chunk 0 | true",
        "list | true",
    ],
)
def test_a_closed_pipe_ends_quietly(
    library: Path, environment: dict[str, str], command: str
) -> None:
    done = _piped(command, environment)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_an_error(library: Path, environment: dict[str, str]) -> None:
    done = _piped("list > /dev/full", environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_closed_streams_do_not_matter(library: Path, environment: dict[str, str]) -> None:
    assert _piped("list >&-", environment).returncode == 0
    assert _piped("list 2>&-", environment).returncode == 0


def test_every_error_class_keeps_its_exit_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.__name__: kind.exit_code for kind in kinds if issubclass(kind, Exception)}
    assert json.loads(json.dumps(codes)) == {
        "SharedCLIError": 1,
        "UsageError": 2,
        "SomeFilesFailedError": 3,
        "NotInDocumentsError": 4,
        "NoStoreError": 10,
        "StoreLockedError": 11,
        "ModelMismatchError": 12,
        "CorruptionError": 13,
        "ModelMissingError": 14,
        "OutOfMemoryError": 15,
        "DocumentError": 1,
        "UnreadableError": 1,
        "EncryptedError": 1,
        "NoTextError": 1,
        "LimitError": 1,
    }
