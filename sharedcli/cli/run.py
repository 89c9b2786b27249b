"""From arguments to an exit code: errors, Ctrl-C, closed pipes, streams that are not there.

Notable choices:
- Every error is one sentence on stderr; with ``--json`` it is an object on stdout as well. A
  traceback is shown with ``--debug`` only.
- A closed pipe ends quietly with code 0: ``sharedcli ask ... | head -1`` is no failure.
- SIGTERM unwinds like Ctrl-C, so that the terminal's cursor comes back and workers end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import typer

from sharedcli.cli.flags import ClosedPipe
from sharedcli.errors import OutOfMemoryError, SharedCLIError

INTERRUPTED = 130
TERMINATED = 143

# Typer's own copy of click, or click itself: what all errors about arguments derive from.
_ArgumentError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code; never raises but for a termination signal."""
    _prepare_streams()
    _catch_termination()
    before = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    as_json = "--json" in before
    try:
        code = _run(arguments, as_json, debug="--debug" in before)
        sys.stdout.flush()
        return code
    except (ClosedPipe, BrokenPipeError):
        return 0
    except OSError as error:  # the disk behind stdout is full, say
        return _failed("OSError", f"cannot write the output: {error.strerror or error}", 1, False)
    finally:
        _silence_closed_streams()


def _run(arguments: Sequence[str], as_json: bool, debug: bool) -> int:
    from sharedcli.cli.app import app

    try:
        result = app(list(arguments), prog_name="sharedcli", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:
            return _failed("Interrupted", "interrupted", INTERRUPTED, as_json)
        return code
    except (ClosedPipe, BrokenPipeError):
        raise
    except _ArgumentError as error:
        return _wrong_usage(error, as_json)
    except SharedCLIError as error:
        if debug:
            _traceback()
        return _failed(type(error).__name__, str(error), error.exit_code, as_json)
    except MemoryError:
        message = "not enough memory; try --chunk-tokens 512, or --load-in-4bit"
        return _failed("OutOfMemoryError", message, OutOfMemoryError.exit_code, as_json)
    except (typer.Abort, EOFError):
        return _failed("Aborted", "aborted; nothing was changed", 1, as_json)
    except Exception as error:
        if debug:
            _traceback()
        hint = "" if debug else "; run it again with --debug and report what it shows"
        message = f"unexpected {type(error).__name__}: {error}{hint}"
        return _failed(type(error).__name__, message, 1, as_json)


def _wrong_usage(error: Exception, as_json: bool) -> int:
    """Typer's errors about arguments, in our form."""
    message = str(getattr(error, "format_message", error.__str__)()).strip()
    code = int(getattr(error, "exit_code", 2))
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(message + "\n" if message else "")
        return code
    path = context.command_path if context is not None else "sharedcli"
    message = message.rstrip(".")
    return _failed("UsageError", f"{message}; see `{path} --help`", code, as_json)


def _failed(kind: str, message: str, code: int, as_json: bool) -> int:
    from sharedcli.cli.render import Terminal
    from sharedcli.cli.session import SCHEMA_VERSION, json_line

    if as_json:
        error = {"type": kind, "message": message, "exit_code": code}
        with suppress(OSError):
            sys.stdout.write(json_line({"schema_version": SCHEMA_VERSION, "error": error}))
    color = "never" if "--no-color" in sys.argv else os.environ.get("SHAREDCLI_COLOR", "auto")
    terminal = Terminal(color, os.environ)
    with suppress(OSError):
        if code in (INTERRUPTED,):
            terminal.aside(message)
        else:
            terminal.error(message)
    return code


def _traceback() -> None:
    import traceback

    from sharedcli.ingest.sanitise import sanitise

    sys.stderr.write(sanitise(traceback.format_exc()))


def _prepare_streams() -> None:
    """Give a process without stdout or stderr somewhere to write, and never fail on a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _silence_closed_streams() -> None:
    """Keep Python from complaining about a closed pipe when it flushes at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def _catch_termination() -> None:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
