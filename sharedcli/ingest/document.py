"""The ``Document``: one file's text with the page spans that citations point to.

Notable choices:
- One string holds the whole text; pages are half-open character spans into it, in order and
  without gaps, so that any character offset maps to exactly one page by bisection.
- ``sha256`` is of the file's bytes, not of the text: it is what makes a document "the same".

It knows nothing of tokens, models or disks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Page:
    """A page, or a section where the format has no pages.

    Attributes:
        number: physical position, counted from 1.
        label: what is printed on it ("iv", "A-3") or the section's heading; None if unknown.
        start, end: half-open character span in ``Document.text``.
    """

    number: int
    label: str | None
    start: int
    end: int


_SIGNS = re.compile(r"[#=*`_~\[\]-]+")


def bare_heading(text: str) -> list[str]:
    """The words of a heading, without markdown's signs."""
    return _SIGNS.sub(" ", text).split()


@dataclass(frozen=True)
class Document:
    """Text extracted from one file.

    Attributes:
        source: the path as given, or "-" for standard input.
        title: metadata title, else the file's name.
        media_type: e.g. "application/pdf".
        sha256: hex digest of the file's bytes.
        text: the whole text, sanitised (no control characters but newline and tab).
        pages: spans that cover ``text`` in order.
        paged: True if ``pages`` are physical pages, False if sections.
        warnings: sentences for the user ("3 pages have no text layer").
    """

    source: str
    title: str
    media_type: str
    sha256: str
    text: str
    pages: tuple[Page, ...]
    paged: bool = True
    warnings: tuple[str, ...] = field(default=())

    @cached_property
    def _starts(self) -> list[int]:
        return [page.start for page in self.pages]

    def page_at(self, offset: int) -> Page:
        """Return the page that holds the character at ``offset``."""
        return self.pages[max(0, bisect_right(self._starts, offset) - 1)]
