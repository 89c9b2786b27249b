"""The contract between readers and what calls them.

A reader is a function that takes an open binary file and the limits and returns a ``Reading``: what
is known at once, and an iterator of sections that does the work. Sections arrive one at a time so
that progress can be shown, a stalled reader be noticed, and memory stay small.

Readers raise ``DocumentError``s whose message starts with a verb ("needs a password; ..."); the
caller puts the document's name in front. They return text as they find it: the caller sanitises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from sharedcli.ingest.limits import Limits


@dataclass(frozen=True)
class Section:
    """Text of one page or section, and what is printed on it or stands above it."""

    text: str
    label: str | None = None


@dataclass
class Reading:
    """A document being read.

    Attributes:
        media_type: e.g. "application/pdf".
        paged: True if sections are physical pages.
        sections: does the reading while it is iterated.
        total: number of sections if known beforehand.
        title: title from the document's metadata; valid once ``sections`` is exhausted.
        warnings: sentences for the user; complete once ``sections`` is exhausted.
    """

    media_type: str
    paged: bool
    sections: Iterator[Section]
    total: int | None = None
    title: str | None = None
    warnings: list[str] = field(default_factory=list)


Reader = Callable[[BinaryIO, Limits], Reading]
