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
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import typer

from sharedcli.cli.flags import ClosedPipe
from sharedcli.errors import OutOfMemoryError, SharedCLIError
from sharedcli.ingest.sanitise import sanitise
from sharedcli.setting_values import debugging

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
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    wanted = _Wanted(frozenset(arguments[:end]))
    try:
        code = _run(arguments, wanted)
        sys.stdout.flush()
        return code
    except (ClosedPipe, BrokenPipeError):
        return 0
    except OSError as error:
        return wanted.failed("OSError", _system(error), 1)
    finally:
        _silence_closed_streams()


class _Wanted:
    """How to tell of a failure, which may come before the arguments are understood."""

    def __init__(self, words: frozenset[str]) -> None:
        self._json = "--json" in words
        self._plain = "--no-color" in words
        self.debug = "--debug" in words or debugging()

    def failed(self, kind: str, message: str, code: int) -> int:
        """Tell of a failure on stderr, and with --json on stdout; return ``code``."""
        from sharedcli.cli.render import Terminal
        from sharedcli.cli.session import SCHEMA_VERSION, json_line

        if self.debug and sys.exc_info()[0] is not None and code != INTERRUPTED:
            sys.stderr.write(sanitise(traceback.format_exc()))
        if self._json:
            error = {"type": kind, "message": message, "exit_code": code}
            with suppress(OSError):
                sys.stdout.write(json_line({"schema_version": SCHEMA_VERSION, "error": error}))
        terminal = Terminal(self._color(), os.environ)
        with suppress(OSError):
            if code == INTERRUPTED:
                terminal.aside(message)
            else:
                terminal.error(message)
        return code

    def _color(self) -> str:
        if self._plain:
            return "never"
        from sharedcli.settings import load_settings

        try:
            return load_settings({}).color
        except (SharedCLIError, OSError):  # which may be what is told of
            return os.environ.get("SHAREDCLI_COLOR") or "auto"


def _run(arguments: Sequence[str], wanted: _Wanted) -> int:
    from sharedcli.cli.app import app

    try:
        result = app(list(arguments), prog_name="sharedcli", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:
            return wanted.failed("Interrupted", "interrupted", INTERRUPTED)
        return code
    except SystemExit as error:
        if error.code == 1:  # Typer and Rich end like this when the reader of the help has gone
            raise ClosedPipe from None
        raise
    except (ClosedPipe, BrokenPipeError):
        raise
    except OSError as error:
        return wanted.failed("OSError", _system(error), 1)
    except _ArgumentError as error:
        return _wrong_usage(error, wanted)
    except SharedCLIError as error:
        return wanted.failed(type(error).__name__, str(error), error.exit_code)
    except MemoryError:
        message = "there is not enough memory; try --chunk-tokens 512, or --load-in-4bit"
        return wanted.failed("OutOfMemoryError", message, OutOfMemoryError.exit_code)
    except (typer.Abort, EOFError) as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            return wanted.failed("Interrupted", "interrupted", INTERRUPTED)
        return wanted.failed("Aborted", "aborted; nothing was changed", 1)
    except Exception as error:
        hint = "" if wanted.debug else "; run it again with --debug and report what it shows"
        message = f"unexpected {type(error).__name__}: {error}{hint}"
        return wanted.failed(type(error).__name__, message, 1)


def _system(error: OSError) -> str:
    """Why the system refused. The store explains its own files, so the rest is mostly output."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}; check the path and who may use it"
    return f"the output cannot be written: {reason}; give it another place"


def _wrong_usage(error: Exception, wanted: _Wanted) -> int:
    """Typer's errors about arguments, in our form."""
    message = str(getattr(error, "format_message", error.__str__)()).strip().rstrip(".")
    code = int(getattr(error, "exit_code", 2))
    if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
        return code
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "sharedcli"
    return wanted.failed("UsageError", f"{message}; see `{path} --help`", code)


def _prepare_streams() -> None:
    """Give a process without streams somewhere to read and write; never fail on a character."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
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
