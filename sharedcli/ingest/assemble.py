"""Sections become a ``Document``: cleaned, joined, measured.

Every text goes through the sanitiser here, whichever reader and process it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from sharedcli.errors import LimitError, NoTextError
from sharedcli.ingest.document import Document, Page, bare_heading
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.reading import Section
from sharedcli.ingest.sanitise import printable_path, sanitise, sanitise_line

_LABEL_CHARS = 120
_HEADING_CHARS = 1000  # with its signs; a label of no more characters can equal it


class Assembler:
    """Collects the sections of one document.

    Args:
        source: the path as given, or "-".
        limits: ``text_chars`` and ``pages`` are enforced while sections arrive.
    """

    def __init__(self, source: str, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._parts: list[str] = []
        self._pages: list[Page] = []
        self._length = 0

    def add(self, section: Section) -> None:
        """Append a section. Text between sections is a blank line that belongs to the former.

        Raises:
            LimitError: too much text or too many sections.
        """
        text = sanitise(section.text).strip("\n").rstrip()
        if text:
            text += "\n\n"
        label = sanitise_line(section.label, _LABEL_CHARS) if section.label else None
        start = self._length
        self._length += len(text)
        self._parts.append(text)
        self._pages.append(Page(len(self._pages) + 1, label or None, start, self._length))
        if self._length > self._limits.text_chars:
            raise LimitError(
                f"holds more than {self._limits.text_chars:,} characters of text; split it"
            )
        if len(self._pages) > self._limits.pages:
            raise LimitError(f"has more than {self._limits.pages:,} sections; split it")

    def finish(
        self, *, media_type: str, paged: bool, title: str | None, sha256: str, warnings: list[str]
    ) -> Document:
        """Return the document.

        Raises:
            NoTextError: there is nothing but blanks in it.
        """
        text = "".join(self._parts)
        if not text.strip():
            raise NoTextError("holds no text")
        source = printable_path(self._source)
        name = "standard input" if source == "-" else PurePath(source).name
        return Document(
            source=source,
            title=_telling(sanitise_line(title or "")) or name,
            media_type=media_type,
            sha256=sha256,
            text=text,
            pages=tuple(self._pages if paged else self._sections(text)),
            paged=paged,
            warnings=tuple(sanitise_line(warning) for warning in warnings),
        )

    def _sections(self, text: str) -> Iterator[Page]:
        """The pages of a text without pages: a heading alone belongs to the section below it.

        As a section of its own it would be a passage of three words, which ranks high and says
        nothing.
        """
        begin, number = None, 0
        for page in self._pages:
            begin = page.start if begin is None else begin
            if page is self._pages[-1] or not _is_heading(text[page.start : page.end], page.label):
                number += 1
                yield Page(number, page.label, begin, page.end)
                begin = None


def _is_heading(text: str, label: str | None) -> bool:
    """Whether a section is blank or nothing but its heading, with markdown's signs or not."""
    if len(text) > _HEADING_CHARS:
        return False
    words = bare_heading(text)
    return not words or (label is not None and words == bare_heading(label))


def _telling(title: str) -> str:
    """A title that says something; "" of one without a letter, such as a filing's number."""
    return title if any(map(str.isalpha, title)) else ""
