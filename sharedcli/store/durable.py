"""The one door to the disk: every write, fsync, rename and commit of the store passes here.

``disk`` is looked up at each call, so that a test can put a failing or killing disk in its place
and reach every instant at which a real one could fail.

The order that makes a file durable: write to a temporary file, fsync it, rename it, fsync the
directory. Only then may the catalogue name it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sharedcli.errors import SharedCLIError

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
# A single write of 2 GiB or more is cut short by Linux; smaller pieces also keep memory flat.
_PIECE = 8 << 20


class Disk:
    """System calls that change the disk. Subclass to inject faults."""

    def create(self, path: Path) -> int:
        """Create ``path``, which must not exist, for writing; return its descriptor."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        return os.open(path, flags, PRIVATE_FILE)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of ``data``; return how many bytes."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Wait until the file is on the disk."""
        os.fsync(descriptor)

    def fsync_directory(self, path: Path) -> None:
        """Wait until the directory's names are on the disk. Windows cannot, and need not."""
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_directory(self, path: Path) -> None:
        """Create a directory that only the owner may enter; one that exists is fine."""
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)

    def replace(self, source: Path, target: Path) -> None:
        """Rename, over whatever ``target`` was."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def commit(self, connection: sqlite3.Connection) -> None:
        """Make the open transaction durable."""
        connection.execute("COMMIT")


disk = Disk()


def write_file(temporary: Path, target: Path, data: bytes) -> None:
    """Make ``target`` hold ``data``, durably, or leave it as it was.

    Raises:
        SharedCLIError: the disk is full or failing; nothing remains of the attempt.
    """
    try:
        _write_synced(temporary, data)
        if not target.parent.is_dir():
            disk.make_directory(target.parent)
            disk.fsync_directory(target.parent.parent)
        disk.replace(temporary, target)
        disk.fsync_directory(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise disk_error(error, target, len(data)) from error


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = disk.create(path)
    try:
        view = memoryview(data)
        while view:
            written = disk.write(descriptor, view[:_PIECE])
            if written <= 0:
                raise OSError(errno.EIO, "the disk took no bytes", str(path))
            view = view[written:]
        # A disk that reports more than it took would be noticed only at the next read.
        if os.fstat(descriptor).st_size != len(data):
            raise OSError(errno.EIO, "the disk took fewer bytes than it said", str(path))
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> int:
    """Remove ``path`` if it can be; return the bytes freed. Left-overs are no failure."""
    try:
        size = path.stat().st_size
        disk.unlink(path)
    except OSError:
        return 0
    return size


@contextlib.contextmanager
def translated(what: Path) -> Iterator[None]:
    """Turn any ``OSError`` inside the block into a ``SharedCLIError`` about ``what``."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, what) from error


def disk_error(error: OSError, path: Path, size: int | None = None) -> SharedCLIError:
    """Say what failed and what to do about it."""
    wanted = f" ({size:,} bytes)" if size is not None else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SharedCLIError(
            f"no space left for {path}{wanted}; free some, or choose another place with --store, "
            "and run the same command again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SharedCLIError(
            f"no permission to use {path}; choose another place with --store, or change its owner"
        )
    return SharedCLIError(
        f"writing {path}{wanted} failed: {error.strerror or error}; check the disk and run the "
        "same command again"
    )


def read_error(error: OSError, path: Path) -> SharedCLIError:
    """Say that reading failed and what to do about it."""
    return SharedCLIError(
        f"reading the store {path} failed: {error.strerror or error}; check the disk and its "
        "permissions"
    )
