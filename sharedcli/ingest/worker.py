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
from typing import Any, BinaryIO

from sharedcli.errors import DocumentError, LimitError, UnreadableError
from sharedcli.ingest import wire
from sharedcli.ingest.files import open_document, sha256_of, version_of
from sharedcli.ingest.formats import HEAD_BYTES, detect, reader_for
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.reading import Reading

_MAX_REQUEST = 1 << 20
_RETIRE_SHARE = 4  # a worker that ever used more than this part of its memory is replaced


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
        except OSError:
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
    try:
        _limit_process(limits)
        with open_document(path if os.name == "posix" else os.fsdecode(path), limits) as stream:
            _limit_processor_time(limits, version_of(stream)[0])
            _read(stream, str(request["name"]), limits, answers)
    except DocumentError as error:
        wire.send(answers, {"error": [type(error).__name__, str(error)]})
    except MemoryError:
        message = f"needs more than {limits.memory_bytes >> 20:,} MiB of memory; split it"
        wire.send(answers, {"error": [LimitError.__name__, message]})
    except RecursionError:
        wire.send(answers, {"error": [LimitError.__name__, "is nested too deeply to be read"]})
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        message = f"cannot be read: {error.strerror}"
        wire.send(answers, {"error": [UnreadableError.__name__, message]})
    except Exception as error:
        # Any parser bug that a document triggers ends here; the batch goes on.
        message = f"cannot be read ({type(error).__name__}); the file seems damaged"
        wire.send(answers, {"error": [UnreadableError.__name__, message]})


def _read(stream: BinaryIO, name: str, limits: Limits, answers: BinaryIO) -> None:
    version = version_of(stream)
    sha256 = sha256_of(stream)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    reading: Reading = reader_for(detect(head, name))(stream, limits)
    start = {"media_type": reading.media_type, "paged": reading.paged, "total": reading.total}
    wire.send(answers, {"start": start})
    length = 0
    for section in reading.sections:
        length += len(section.text)
        if length > 2 * limits.text_chars:
            raise LimitError(f"holds more than {limits.text_chars:,} characters of text; split it")
        wire.send(answers, {"section": [section.text, section.label]})
    if version_of(stream) != version:
        raise UnreadableError("was changed while it was being read; try again")
    end = {
        "title": reading.title,
        "sha256": sha256,
        "warnings": reading.warnings,
        "retire": _peak_memory() > limits.memory_bytes // _RETIRE_SHARE,
    }
    wire.send(answers, {"end": end})


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


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
