"""Word documents (docx): the main text, then foot- and endnotes, split at headings.

The format stores no pages, so citations go by heading. Deleted and moved-away text of tracked
changes, field codes and hidden text are left out, as in the printed document.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from sharedcli.errors import UnreadableError
from sharedcli.ingest.readers.docx_body import BodyHandler
from sharedcli.ingest.readers.safe_xml import ElementCollector, collect, parse_xml
from sharedcli.ingest.readers.zip_archive import ZipArchive
from sharedcli.ingest.reading import Reading, Section

CONTENT_TYPES = "[Content_Types].xml"
_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_HEADING_NAME = re.compile(r"(?:heading [1-9]|title)", re.I)


def read(archive: ZipArchive) -> Reading:
    """Read a Word document.

    Raises:
        UnreadableError: there is no Word document in the archive, or it is damaged.
    """
    main = _main_part(archive)
    folder = posixpath.dirname(main)
    styles = _heading_styles(archive, posixpath.join(folder, "styles.xml"))
    reading = Reading(_MEDIA_TYPE, paged=False, sections=_sections(archive, main, styles))
    reading.title = _title(archive)
    return reading


def _main_part(archive: ZipArchive) -> str:
    if "_rels/.rels" in archive:
        for _, attributes, _ in collect(archive.chunks("_rels/.rels"), "Relationship"):
            if attributes.get("Type", "").endswith("/officeDocument"):
                path = posixpath.normpath(attributes.get("Target", "").lstrip("/"))
                if path in archive and path.startswith("word/"):
                    return path
    if "word/document.xml" in archive:
        return "word/document.xml"
    raise UnreadableError("is an Office file but no Word document; save it as PDF")


def _title(archive: ZipArchive) -> str | None:
    if "docProps/core.xml" not in archive:
        return None
    titles = collect(archive.chunks("docProps/core.xml"), "title")
    return titles[0][2] or None if titles else None


def _sections(archive: ZipArchive, main: str, styles: frozenset[str]) -> Iterator[Section]:
    folder = posixpath.dirname(main)
    parts = [(main, None), (f"{folder}/footnotes.xml", "Footnotes")]
    parts.append((f"{folder}/endnotes.xml", "Endnotes"))
    for path, label in parts:
        if path not in archive:
            continue
        handler = BodyHandler(styles if label is None else frozenset(), label)
        for _ in parse_xml(archive.chunks(path), handler):
            yield from handler.take()
        handler.end_section()
        yield from handler.take()


class _StyleCollector(ElementCollector):
    """Collects for every paragraph style whether its name or outline level makes it a heading."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: set[str] = set()
        self.parents: dict[str, str] = {}
        self._style = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        value = attributes.get("val", "")
        if name == "style":
            self._style = attributes.get("styleId", "")
        elif (name == "name" and _HEADING_NAME.fullmatch(value)) or (
            # Level 9 is "body text" (ISO 29500-1, 17.3.1.20).
            name == "outlineLvl" and value.isdecimal() and int(value) < 9
        ):
            self.headings.add(self._style)
        elif name == "basedOn":
            self.parents[self._style] = value


def _heading_styles(archive: ZipArchive, path: str) -> frozenset[str]:
    """Return ids of heading styles; ids are translated in other languages, names are not."""
    if path not in archive:
        return frozenset(f"Heading{level}" for level in range(1, 10)) | {"Title"}
    collector = _StyleCollector()
    for _ in parse_xml(archive.chunks(path), collector):
        pass
    # A style based on a heading is one; one level of inheritance is what templates use.
    derived = {style for style, base in collector.parents.items() if base in collector.headings}
    return frozenset(collector.headings | derived)
