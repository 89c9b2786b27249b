"""Zip archives from strangers: checked before they are opened, counted while they are read.

The directory of an archive can lie about sizes, and members can overlap (a "zip bomb" of 10 MB
unpacks to terabytes), so what counts are the bytes that really come out, over all members. Nothing
is ever unpacked to disk: member names are only keys to look up.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from sharedcli.errors import EncryptedError, LimitError, UnreadableError
from sharedcli.ingest.limits import MIB, Limits

_CHUNK_BYTES = 1 << 16
_DAMAGED = "is a damaged archive; save it again with the program that made it"


class ZipArchive:
    """Read access to the members of an archive, within limits.

    Raises:
        UnreadableError: it is no zip archive, or damaged, or uses an unusual compression.
        EncryptedError: members need a password.
        LimitError: too many members or bytes, or too high a compression ratio.
    """

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._limits = limits
        self._unpacked = 0
        try:
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
            raise UnreadableError(_DAMAGED) from None
        members = self._zip.infolist()
        if len(members) > limits.archive_members:
            raise LimitError(
                f"holds {len(members):,} files, more than the {limits.archive_members:,} allowed"
            )
        self._members = {member.filename: member for member in members}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a member piece by piece.

        Raises:
            UnreadableError: there is no such member, or it is damaged.
        """
        member = self._members.get(name)
        if member is None:
            raise UnreadableError(f"is damaged: its part {name[:80]!r} is missing")
        if member.flag_bits & 0x1:
            raise EncryptedError("needs a password; save a copy without one")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableError("uses an unusual compression; save it again")
        unpacked = 0
        try:
            with self._zip.open(member) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    unpacked += len(chunk)
                    self._count(len(chunk), unpacked, member.compress_size)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
            raise UnreadableError(_DAMAGED) from None

    def read(self, name: str) -> bytes:
        """Return the content of a member. Raises as ``chunks`` does."""
        return b"".join(self.chunks(name))

    def _count(self, added: int, unpacked: int, packed: int) -> None:
        self._unpacked += added
        if self._unpacked > self._limits.archive_bytes:
            raise LimitError(
                f"unpacks to more than {self._limits.archive_bytes / MIB:,.0f} MiB; split it"
            )
        if unpacked > MIB and unpacked > self._limits.archive_ratio * max(1, packed):
            raise LimitError(
                f"is packed more than {self._limits.archive_ratio} to 1, as only bombs are"
            )
