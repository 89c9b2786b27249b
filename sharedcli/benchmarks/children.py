"""The owner's side: one child process per job, because peak memory belongs to a process.

A child ends with its job, with the owner, and with Ctrl-C. No torch here.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from typing import Any, Protocol

from sharedcli import errors
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.errors import OutOfMemoryError, SharedCLIError
from sharedcli.process import search_path
from sharedcli.setting_values import debugging

_BOOT = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from sharedcli.benchmarks.child import main; sys.exit(main())"
)


class Perform(Protocol):
    """Does one job, in a child process or, in tests, here."""

    def __call__(self, job: str, plan: Plan, tell: Tell, **arguments: Any) -> dict[str, Any]:
        """Return the job's result. See ``jobs/registry.py``."""
        ...


class Jobs:
    """Does the jobs of one benchmark, and tells how far they are.

    Args:
        tell: told the progress.
        perform: does one job; in a child process unless told otherwise.
    """

    def __init__(self, tell: Tell, perform: Perform | None = None) -> None:
        self._tell = tell
        self._perform: Perform = perform or run_child

    def say(self, what: str) -> None:
        """Tell what is going on now."""
        self._tell(0, 0, what)

    def run(self, job: str, plan: Plan, **arguments: Any) -> dict[str, Any]:
        """Do one job. Its errors are those of what it measures."""
        return self._perform(job, plan, self._tell, **arguments)

    def attempt(self, job: str, plan: Plan, **arguments: Any) -> dict[str, Any]:
        """Do one job; where memory does not suffice, the result is why: ``refused``."""
        try:
            return self.run(job, plan, **arguments)
        except OutOfMemoryError as error:
            return {"refused": str(error)}


def run_child(job: str, plan: Plan, tell: Tell, **arguments: Any) -> dict[str, Any]:
    """Do one job in a process of its own.

    Raises:
        OutOfMemoryError: the system stopped the child, or it ran out of memory itself.
        SharedCLIError: whatever the job says, of the kind that it says.
    """
    request = {"job": job, "plan": plan.to_plain(), "arguments": arguments}
    debug = debugging()
    # -I and -S: no user or site hooks, nothing from the current folder
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, *search_path()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if debug else subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            return _converse(process, request, tell)
        finally:
            process.kill()


def _converse(
    process: subprocess.Popen[str], request: dict[str, Any], tell: Tell
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):  # a child that is gone says why below
        process.stdin.write(json.dumps(request))
        process.stdin.close()
    for line in process.stdout:
        message = json.loads(line)
        if "result" in message:
            found: dict[str, Any] = message["result"]
            return found
        if "error" in message:
            raise _reported(*message["error"])
        tell(*message["progress"])
    code = process.wait()
    if code == 128 + signal.SIGINT or code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code == -getattr(signal, "SIGKILL", 0):
        raise OutOfMemoryError("the system stopped the process, probably for lack of memory")
    raise SharedCLIError(
        f"the measuring process ended with code {code}; run it again with --debug to see why"
    )


def _reported(kind: str, message: str) -> SharedCLIError:
    """Rebuild a child's error; only kinds that sharedcli raises on purpose are accepted."""
    found = getattr(errors, kind, SharedCLIError)
    known = isinstance(found, type) and issubclass(found, SharedCLIError)
    return found(message) if known else SharedCLIError(message)
