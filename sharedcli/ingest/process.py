"""The owner's side of the worker process: start, talk, stop the clock, kill.

Notable choices:
- A plain subprocess with pipes, not ``multiprocessing``: nothing is pickled, nothing is forked from
  a process that may hold threads and tensors, and the worker imports only what reading needs.
- The worker gets this process's module search path, and nothing from the current folder, which may
  be full of strangers' files.
- The clock counts waiting in small ticks, so that a suspended program (Ctrl-Z, a closed laptop)
  does not find its documents guilty of the pause.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from sharedcli import errors
from sharedcli.errors import DocumentError, LimitError, UnreadableError
from sharedcli.ingest import wire
from sharedcli.ingest.limits import Limits
from sharedcli.process import search_path

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from sharedcli.ingest.worker import main; main()"
_TICK_SECONDS = 0.25


class WorkerProcess:
    """One worker process. It serves one document at a time and may serve many in turn."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.retired = False
        self.idle = True
        # -I and -S: no environment variables, no user or site hooks, no current folder.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, *search_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._stdin = cast(BinaryIO, self._process.stdin)
        self._stdout = cast(BinaryIO, self._process.stdout)
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        max_bytes = 4 * 2 * limits.text_chars + wire.OVERHEAD_BYTES
        threading.Thread(
            target=_collect, args=(self._stdout, self._messages, max_bytes), daemon=True
        ).start()

    def messages(self, path: bytes, name: str, size: int) -> Iterator[dict[str, Any]]:
        """Ask for one document and yield the worker's messages up to and with "end".

        Args:
            path: the file's name as bytes of the file system.
            name: what its format is guessed by.
            size: its size in bytes, which the time limit depends on.

        Raises:
            DocumentError: what the worker says is wrong with the document.
            LimitError: no message for too long, or the worker ran into its limits.
            UnreadableError: the worker died.

        The worker can be used again if ``idle`` and ``alive`` are true afterwards; left in
        mid-document, messages are still under way that must not reach the next document.
        """
        self.idle = False
        request = {"path": path.hex(), "name": name, "limits": dataclasses.asdict(self._limits)}
        try:
            wire.send(self._stdin, request)
        except OSError:
            raise self._obituary() from None
        left = self._limits.seconds_for(size)
        while True:
            message, waited = self._next(self._patience(left))
            left -= waited
            if "error" in message or "end" in message:
                self.idle = True
                self.retired = bool(message.get("retire"))
            if "error" in message:
                raise _reported(message["error"])
            yield message
            if "end" in message:
                return

    def _patience(self, left: float) -> float:
        """Return how many seconds to wait for the next message."""
        return min(left, self._limits.seconds)

    def _next(self, seconds: float) -> tuple[dict[str, Any], float]:
        waited = 0.0
        while True:
            before = time.monotonic()
            message: dict[str, Any] | None = None
            try:
                message = self._messages.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                waited += min(time.monotonic() - before, 2 * _TICK_SECONDS)
                if waited >= seconds:
                    self.kill()
                    raise LimitError("takes too long to read; simplify or split it") from None
                continue
            waited += min(time.monotonic() - before, 2 * _TICK_SECONDS)
            if message is None:
                raise self._obituary()
            return message, waited

    def _obituary(self) -> DocumentError:
        """Return the error for a worker that is gone."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        self.kill()
        if code == -getattr(signal, "SIGXCPU", 0):
            return LimitError("takes too long to read; simplify or split it")
        if code == -getattr(signal, "SIGKILL", 0):
            return LimitError("was stopped by the system, probably for lack of memory; split it")
        return UnreadableError("makes its reader crash; the file seems damaged")

    def kill(self) -> None:
        """End the process at once and release its pipes."""
        self.retired = True
        self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    @property
    def alive(self) -> bool:
        """Whether it can take a document."""
        return not self.retired and self._process.poll() is None


def _collect(
    stream: BinaryIO, messages: queue.SimpleQueue[dict[str, Any] | None], max_bytes: int
) -> None:
    """Move messages from the pipe to a queue, where waiting can be interrupted on every system."""
    try:
        while True:
            messages.put(wire.receive(stream, max_bytes))
    except (wire.WireError, OSError, ValueError):
        messages.put(None)


def _reported(error: Any) -> DocumentError:
    """Rebuild an error from the worker; only kinds of ``DocumentError`` are accepted."""
    name, sentence = error if isinstance(error, list) and len(error) == 2 else ("", "")
    kind = getattr(errors, str(name), UnreadableError)
    if not (isinstance(kind, type) and issubclass(kind, DocumentError)):
        kind = UnreadableError
    return kind(str(sentence))


def path_bytes(path: str | Path) -> bytes:
    """Return a file name as the bytes that the worker opens, absolute."""
    return os.fsencode(Path(path).absolute())
