"""The child's side: one job comes in as JSON on stdin, messages go out on stdout, one a line.

{"progress": [done, total, what]}, and last {"result": {...}} or {"error": [kind, message]}
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, TextIO

from sharedcli.errors import SharedCLIError
from sharedcli.process import set_up
from sharedcli.setting_values import debugging


def main() -> int:
    """Do the job that stdin names; return the exit code."""
    set_up()  # as the command does
    messages = _own_stdout()
    try:
        request = json.loads(sys.stdin.read())
        _send(messages, {"result": _work(request, messages)})
    except SharedCLIError as error:
        _send(messages, {"error": [type(error).__name__, str(error)]})
    except MemoryError:
        _send(messages, {"error": ["OutOfMemoryError", "there is not enough memory"]})
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:  # told to the owner, who names it
        if debugging():
            raise
        _send(messages, {"error": ["SharedCLIError", f"{type(error).__name__}: {error}"]})
    return 0


def _work(request: dict[str, Any], messages: TextIO) -> dict[str, Any]:
    from sharedcli.benchmarks.jobs.registry import perform
    from sharedcli.benchmarks.plan import Plan

    def tell(done: int, total: int, what: str) -> None:
        _send(messages, {"progress": [done, total, what]})

    plan = Plan.from_plain(request["plan"])
    return perform(request["job"], plan, tell, **request["arguments"])


def _own_stdout() -> TextIO:
    """Keep stdout for messages: whatever libraries print goes to stderr."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _send(messages: TextIO, message: dict[str, Any]) -> None:
    messages.write(json.dumps(message) + "\n")
    messages.flush()


if __name__ == "__main__":
    sys.exit(main())
