"""HTML pages: visible text, one section per heading."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

from sharedcli.ingest.limits import Limits
from sharedcli.ingest.readers.markup import sections_of
from sharedcli.ingest.readers.text import decode, read_all
from sharedcli.ingest.reading import Reading

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.I)
_HEAD_BYTES = 2048


def read(stream: BinaryIO, limits: Limits) -> Reading:
    """Read an HTML page."""
    text, warning = _decode(read_all(stream, limits))
    sections, title = sections_of(text, split_headings=True)
    reading = Reading(
        "text/html", paged=False, sections=iter(sections), total=len(sections), title=title
    )
    if warning:
        reading.warnings.append(warning)
    return reading


def _decode(data: bytes) -> tuple[str, str | None]:
    """Decode as the page itself declares, unless UTF-8 fits or the declaration is of no use."""
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        pass
    declared = _CHARSET.search(data[:_HEAD_BYTES])
    if declared:
        name = declared[1].decode("ascii").lower()
        # Browsers read Latin-1 as its superset, and so do the people who write pages.
        name = (
            "cp1252" if name in {"iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"} else name
        )
        try:
            # Some registered codecs (rot13, zlib, base64) are no text encodings.
            if codecs.lookup(name)._is_text_encoding and name not in {"utf-8", "utf8"}:
                return data.decode(name, "replace"), None
        except (LookupError, UnicodeError):
            pass
    return decode(data)
