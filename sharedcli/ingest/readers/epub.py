"""EPUB books: the chapters in reading order, split at their headings.

Parts are looked up by the names that the package document states; a name that leads outside of the
archive simply is not in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

from sharedcli.errors import EncryptedError, UnreadableError
from sharedcli.ingest.readers.html_page import decode_page
from sharedcli.ingest.readers.markup import sections_of
from sharedcli.ingest.readers.safe_xml import collect
from sharedcli.ingest.readers.zip_archive import ZipArchive
from sharedcli.ingest.reading import Reading, Section

CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_MARKUP_TYPES = frozenset({"application/xhtml+xml", "text/html"})
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)
_SELF_CLOSED = re.compile(r"<([A-Za-z][\w:-]{0,40})(\s[^<>]*)?/>")


def read(archive: ZipArchive) -> Reading:
    """Read a book.

    Raises:
        UnreadableError: the package document is missing or broken.
        EncryptedError: the chapters are protected.
    """
    package = _package_path(archive)
    items: dict[str, str] = {}
    chapters: list[str] = []
    title: str | None = None
    folder = posixpath.dirname(package)
    elements = collect(archive.chunks(package), "title", "item", "itemref")
    for name, attributes, text in elements:
        if name == "title" and title is None:
            title = text or None
        elif name == "item" and attributes.get("media-type") in _MARKUP_TYPES:
            path = posixpath.join(folder, unquote(attributes.get("href", "")))
            items[attributes.get("id", "")] = posixpath.normpath(path)
    for name, attributes, _ in elements:
        if name == "itemref" and attributes.get("idref") in items:
            chapters.append(items[attributes["idref"]])
    if not chapters:
        raise UnreadableError("is a damaged book: it lists no chapters")
    if _encrypted(archive).intersection(chapters):
        raise EncryptedError("is protected against copying, so its text cannot be read")
    reading = Reading("application/epub+zip", paged=False, sections=iter(()), title=title)
    reading.sections = _sections(archive, chapters, reading)
    return reading


def _package_path(archive: ZipArchive) -> str:
    for _, attributes, _ in collect(archive.chunks(CONTAINER), "rootfile"):
        path = posixpath.normpath(attributes.get("full-path", ""))
        if path in archive:
            return path
    raise UnreadableError("is a damaged book: its package document is missing")


def _encrypted(archive: ZipArchive) -> set[str]:
    """Return the parts that are encrypted; fonts often are, in books that can be read."""
    if _ENCRYPTION not in archive:
        return set()
    references = collect(archive.chunks(_ENCRYPTION), "CipherReference")
    return {unquote(attributes.get("URI", "")) for _, attributes, _ in references}


def _sections(archive: ZipArchive, chapters: list[str], reading: Reading) -> Iterator[Section]:
    missing = 0
    # A spine that names the same chapter a thousand times would multiply the book.
    for path in dict.fromkeys(chapters):
        if path not in archive:
            missing += 1
            continue
        markup, warning = decode_page(archive.read(path))
        if warning and warning not in reading.warnings:
            reading.warnings.append(warning)
        sections, title = sections_of(_SELF_CLOSED.sub(_open_and_close, markup))
        for section in sections:
            fallback = title if title != reading.title else None
            yield Section(section.text, section.label or fallback)
    if missing:
        reading.warnings.append(f"{missing} of {len(chapters)} chapters are missing in the file")


def _open_and_close(match: re.Match[str]) -> str:
    """Rewrite XML's ``<title/>``, which an HTML parser takes for an opening tag."""
    tag, attributes = match[1], match[2] or ""
    if tag.lower() in _VOID:
        return f"<{tag}{attributes}>"
    return f"<{tag}{attributes}></{tag}>"
