"""Opening files that strangers named: only regular ones, and never waiting for one.

A FIFO or a device in a folder would block the reader for ever or feed it without end, so the file
is opened without blocking and its type is checked on the open descriptor, where nobody can swap it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from sharedcli.errors import LimitError, NoTextError, UnreadableError
from sharedcli.ingest.limits import MIB, Limits

_REASONS = {
    errno.ENOENT: "does not exist; check the name",
    errno.EACCES: "may not be read; check its permissions",
    errno.EPERM: "may not be read; check its permissions",
    errno.ELOOP: "is a symbolic link that leads round in a circle; name the real file",
    errno.ENAMETOOLONG: "has a name that is too long for this system",
    errno.EISDIR: "is a folder, not a file",
    errno.ENXIO: "is a pipe, socket or device, not a file",
    errno.ENOTDIR: "does not exist; a part of its path is no folder",
}


def reason_for(error: OSError) -> str:
    """Return why the system refused a file, as the end of a sentence that starts with its name."""
    known = _REASONS.get(error.errno or 0)
    return known or f"cannot be read: {error.strerror or type(error).__name__}"


def kind_problem(mode: int) -> str | None:
    """Return why a file of this ``st_mode`` is no document, or None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return _REASONS[errno.EISDIR]
    return _REASONS[errno.ENXIO]


def open_document(path: str | bytes | Path, limits: Limits) -> BinaryIO:
    """Open a regular, non-empty file within ``limits.file_bytes`` for reading.

    Raises:
        UnreadableError: missing, forbidden, or no regular file.
        NoTextError: the file is empty.
        LimitError: the file is larger than ``limits.file_bytes``.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise UnreadableError(reason_for(error)) from None
    except ValueError:
        raise UnreadableError("is no valid file name") from None
    try:
        status = os.fstat(descriptor)
        problem = kind_problem(status.st_mode)
        if problem is not None:
            raise UnreadableError(problem)
        if status.st_size == 0:
            raise NoTextError("is empty")
        if status.st_size > limits.file_bytes:
            raise LimitError(
                f"is {status.st_size / MIB:,.0f} MiB large, more than the "
                f"{limits.file_bytes / MIB:,.0f} MiB that a document may have; split it"
            )
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def sha256_of(stream: BinaryIO) -> str:
    """Return the hex digest of the whole stream and leave the stream at its start."""
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(MIB):
        digest.update(block)
    stream.seek(0)
    return digest.hexdigest()


def content_sha256(path: str | Path, limits: Limits | None = None) -> str:
    """Return the hex digest of a document's file.

    Raises:
        DocumentError: it cannot be a document; see ``open_document``.
    """
    with open_document(path, limits or Limits()) as stream:
        try:
            return sha256_of(stream)
        except OSError as error:
            raise UnreadableError(reason_for(error)) from None


def version_of(stream: BinaryIO) -> tuple[int, int]:
    """Return size and modification time (ns): what changes when somebody writes to the file."""
    status = os.fstat(stream.fileno())
    return status.st_size, status.st_mtime_ns
