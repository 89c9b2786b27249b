"""The process that opens documents: limited, without rights to write, and dead with its owner.

It reads requests from standard input and answers on standard output, one document at a time, as
``wire`` says. What it may use is set by the operating system where that can be done:

    memory          RLIMIT_AS        an allocation beyond it fails
    processor time  RLIMIT_CPU       raised before each document, the second guard after the owner's
    files           RLIMIT_FSIZE 0   nothing can be written, whatever a document persuades us to
    core dumps      RLIMIT_CORE 0
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from sharedcli.errors import DocumentError, LimitError, UnreadableError
from sharedcli.ingest import wire
from sharedcli.ingest.files import open_document, sha256_of, version_of
from sharedcli.ingest.formats import HEAD_BYTES, detect, reader_for
from sharedcli.ingest.limits import MIB, Limits
from sharedcli.ingest.reading import Reading

_MAX_REQUEST = 1 << 20
_RETIRE_SHARE = 0.5  # a worker that keeps more than this share of its memory is replaced


class _OwnerGoneError(Exception):
    """Nobody reads the answers any more."""


def main() -> None:
    """Serve requests until standard input ends."""
    import signal

    # Ctrl-C reaches the whole process group; the owner decides when the worker dies.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = requests.get()
        try:
            _serve(request, answers)
        except _OwnerGoneError:
            os._exit(1)


def _listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass requests on; end the process, even in mid-document, when the owner is gone."""
    with contextlib.suppress(wire.WireError, OSError):
        while True:
            requests.put(wire.receive(sys.stdin.buffer, _MAX_REQUEST))
    os._exit(0)


def _serve(request: dict[str, Any], answers: BinaryIO) -> None:
    limits = Limits(**request["limits"])
    path = bytes.fromhex(request["path"])
    kind: type[DocumentError] = UnreadableError
    try:
        _limit_process(limits)
        with open_document(path if os.name == "posix" else os.fsdecode(path), limits) as stream:
            _limit_processor_time(limits, version_of(stream)[0])
            _read(stream, str(request["name"]), limits, answers)
        return
    except DocumentError as error:
        kind, sentence = type(error), str(error)
    except MemoryError:
        kind = LimitError
        sentence = f"needs more than {limits.memory_bytes / MIB:,.0f} MiB of memory; split it"
    except RecursionError:
        kind, sentence = LimitError, "is nested too deeply to be read; simplify it"
    except _OwnerGoneError:
        raise
    except Exception as error:
        # Any parser bug that a document triggers ends here; the batch goes on.
        sentence = f"cannot be read ({type(error).__name__}); the file seems damaged"
    _send(answers, {"error": [kind.__name__, sentence], "retire": _is_swollen(limits)})


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    try:
        wire.send(answers, message)
    except OSError:
        raise _OwnerGoneError from None


def _read(stream: BinaryIO, name: str, limits: Limits, answers: BinaryIO) -> None:
    version = version_of(stream)
    sha256 = sha256_of(stream)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    reading: Reading = reader_for(detect(head, name))(stream, limits)
    start = {"media_type": reading.media_type, "paged": reading.paged, "total": reading.total}
    _send(answers, {"start": start})
    length = 0
    for section in reading.sections:
        length += len(section.text)
        if length > 2 * limits.text_chars:
            raise LimitError(f"holds more than {limits.text_chars:,} characters of text; split it")
        _send(answers, {"section": [section.text, section.label]})
    if version_of(stream) != version:
        raise UnreadableError("was changed while it was being read; try again")
    end = {"title": reading.title, "sha256": sha256, "warnings": reading.warnings}
    _send(answers, {"end": end, "retire": _is_swollen(limits)})


def _limit_process(limits: Limits) -> None:
    try:
        import resource
    except ImportError:  # Windows: the owner's time limits remain
        return
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # macOS refuses to limit the address space.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def _limit_processor_time(limits: Limits, size: int) -> None:
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(usage.ru_utime + usage.ru_stime + limits.seconds_for(size)) + 2
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = allowed if hard == resource.RLIM_INFINITY else min(allowed, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _is_swollen(limits: Limits) -> bool:
    """Whether this process keeps so much address space that the next document would lack it.

    ``ru_maxrss`` will not do: Linux passes the owner's peak on to a process that it starts.
    """
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return False
    return pages * os.sysconf("SC_PAGE_SIZE") > limits.memory_bytes * _RETIRE_SHARE
