"""A file name goes in, a ``Document`` comes out, whatever the file tries.

Text that is plainly text (by name, and valid UTF-8) is read in this process, which takes a
millisecond and cannot run away. Everything else goes to the worker process. ``DocumentReader``
keeps one worker for many files, because starting one costs more than reading a small file.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from sharedcli.errors import DocumentError, LimitError, NoTextError, UnreadableError
from sharedcli.ingest.assemble import Assembler
from sharedcli.ingest.document import Document
from sharedcli.ingest.files import open_document, reason_for, sha256_of
from sharedcli.ingest.formats import HEAD_BYTES, QUICK_KINDS, detect, reader_for
from sharedcli.ingest.limits import MIB, Limits
from sharedcli.ingest.process import WorkerProcess, path_bytes
from sharedcli.ingest.readers.text import decode_certain
from sharedcli.ingest.reading import Section
from sharedcli.ingest.sanitise import printable_path, sanitise_line

STDIN = "-"
_QUICK_BYTES = 4 * MIB

OnPage = Callable[[int, int | None], None]
"""Called after each page with the number of pages done and the total, None if unknown."""


class DocumentReader:
    """Reads documents one after the other; a context manager. Not for use by several threads.

    Args:
        limits: what one document may cost.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._worker: WorkerProcess | None = None

    def __enter__(self) -> DocumentReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process, if there is one."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def read(self, source: str | Path, *, on_page: OnPage | None = None) -> Document:
        """Read one document; "-" is standard input.

        Raises:
            UnreadableError: missing, forbidden, of an unknown format, or broken.
            EncryptedError: needs a password.
            NoTextError: empty, or scanned pages without a text layer.
            LimitError: more time, memory, pages or text than ``limits`` allow.

        The message names the document. The reader can go on with the next one after any of them.
        """
        name = "standard input" if str(source) == STDIN else printable_path(source)
        try:
            if str(source) == STDIN:
                return self._read_stdin(on_page)
            return self._read_path(str(source), source, Path(source).name, on_page)
        except DocumentError as error:
            # Parsers quote the document in their messages.
            raise type(error)(f"{name}: {sanitise_line(str(error), 300)}") from None
        except OSError as error:  # of the file: what the worker does comes as a DocumentError
            raise UnreadableError(f"{name}: {reason_for(error)}") from None

    def _read_stdin(self, on_page: OnPage | None) -> Document:
        if sys.stdin is None:
            raise UnreadableError("is closed; give it a document")
        with tempfile.TemporaryDirectory(prefix="sharedcli-") as folder:
            path = Path(folder, "stdin")
            with path.open("wb") as spool:
                _copy(sys.stdin.buffer, spool, self._limits)
            return self._read_path(STDIN, path, "", on_page)

    def _read_path(
        self, source: str, path: str | Path, name: str, on_page: OnPage | None
    ) -> Document:
        with open_document(path, self._limits) as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if size <= _QUICK_BYTES:
                head = stream.read(HEAD_BYTES)
                kind = detect(head, name)
                stream.seek(0)
                if kind in QUICK_KINDS and decode_certain(stream.read()) is not None:
                    stream.seek(0)
                    return self._read_here(stream, kind, source, on_page)
        return self._read_in_worker(source, path, name, size, on_page)

    def _read_here(
        self, stream: BinaryIO, kind: str, source: str, on_page: OnPage | None
    ) -> Document:
        sha256 = sha256_of(stream)
        reading = reader_for(kind)(stream, self._limits)
        assembler = Assembler(source, self._limits)
        for done, section in enumerate(reading.sections, start=1):
            assembler.add(section)
            if on_page is not None:
                on_page(done, reading.total)
        return assembler.finish(
            media_type=reading.media_type,
            paged=reading.paged,
            title=reading.title,
            sha256=sha256,
            warnings=reading.warnings,
        )

    def _read_in_worker(
        self, source: str, path: str | Path, name: str, size: int, on_page: OnPage | None
    ) -> Document:
        worker = self._ready_worker()
        assembler = Assembler(source, self._limits)
        start: dict[str, Any] = {}
        end: dict[str, Any] = {}
        done = 0
        try:
            for message in worker.messages(path_bytes(path), name, size):
                if "section" in message:
                    assembler.add(_section_in(message["section"]))
                    done += 1
                    if on_page is not None:
                        on_page(done, start.get("total"))
                else:
                    start = _object_in(message.get("start", start))
                    end = _object_in(message.get("end", end))
        finally:
            # Not idle: a time-out, an error of ours, Ctrl-C, an exception from the callback.
            if not worker.idle or worker.retired:
                self.close()
        return assembler.finish(
            media_type=str(start.get("media_type")),
            paged=bool(start.get("paged")),
            title=None if end.get("title") is None else str(end["title"]),
            sha256=str(end.get("sha256")),
            warnings=[str(warning) for warning in end.get("warnings") or ()],
        )

    def _ready_worker(self) -> WorkerProcess:
        if self._worker is not None and not self._worker.alive:
            self.close()
        if self._worker is None:
            self._worker = WorkerProcess(self._limits)
        return self._worker


def read_document(
    source: str | Path, *, limits: Limits | None = None, on_page: OnPage | None = None
) -> Document:
    """Read one document; "-" is standard input. For many, use one ``DocumentReader``.

    Raises:
        DocumentError: see ``DocumentReader.read``.
    """
    with DocumentReader(limits) as reader:
        return reader.read(source, on_page=on_page)


def _section_in(value: Any) -> Section:
    """Check a section that the worker sent: it runs parsers on hostile bytes."""
    if isinstance(value, list) and len(value) == 2:
        text, label = value
        if isinstance(text, str) and (label is None or isinstance(label, str)):
            return Section(text, label)
    raise UnreadableError("makes its reader talk nonsense; the file seems damaged")


def _object_in(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise UnreadableError("makes its reader talk nonsense; the file seems damaged")


def _copy(source: BinaryIO, target: BinaryIO, limits: Limits) -> None:
    size = 0
    while block := source.read(MIB):
        size += len(block)
        if size > limits.file_bytes:
            raise LimitError(f"is longer than {limits.file_bytes / MIB:,.0f} MiB; split it")
        target.write(block)
    if not size:
        raise NoTextError("is empty")
