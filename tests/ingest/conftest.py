"""Fixtures around ``ingest_samples``, and a reader as users with folders have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ingest_samples import Pdf, docx_bytes, epub_bytes, zip_bytes

from sharedcli.ingest import Document, DocumentReader


@pytest.fixture(scope="session")
def pdf() -> type[Pdf]:
    return Pdf


@pytest.fixture(scope="session")
def make_zip() -> Callable[[dict[str, bytes | str]], bytes]:
    return zip_bytes


@pytest.fixture(scope="session")
def make_docx() -> Callable[..., bytes]:
    return docx_bytes


@pytest.fixture(scope="session")
def make_epub() -> Callable[..., bytes]:
    return epub_bytes


@pytest.fixture(scope="session")
def reader():
    """One reader for many tests, as users with folders have it."""
    with DocumentReader() as shared:
        yield shared


@pytest.fixture
def read(reader: DocumentReader, tmp_path: Path) -> Callable[[str, bytes | str], Document]:
    """Write a file of this name and content, and read it."""

    def write_and_read(name: str, content: bytes | str) -> Document:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return reader.read(path)

    return write_and_read
