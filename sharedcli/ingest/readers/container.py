"""Files that are containers: which document is inside a zip archive or an old Office file."""

from __future__ import annotations

from typing import BinaryIO

from sharedcli.errors import EncryptedError, UnreadableError
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.readers import docx, epub
from sharedcli.ingest.readers.zip_archive import ZipArchive
from sharedcli.ingest.reading import Reading

_SCANNED_BYTES = 1 << 22
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")


def read_zip(stream: BinaryIO, limits: Limits) -> Reading:
    """Read a docx or epub, known by what the archive holds, not by the file's name."""
    archive = ZipArchive(stream, limits)
    if epub.CONTAINER in archive:
        return epub.read(archive)
    if docx.CONTENT_TYPES in archive:
        return docx.read(archive)
    raise UnreadableError("is an archive without a docx or epub document; unpack it first")


def read_ole(stream: BinaryIO, limits: Limits) -> Reading:
    """Refuse an OLE compound file: an old Office document, or a docx with a password."""
    if _ENCRYPTED_PACKAGE in stream.read(_SCANNED_BYTES):
        raise EncryptedError("needs a password; save a copy without one")
    raise UnreadableError("is an old Office file; save it as docx or PDF")
