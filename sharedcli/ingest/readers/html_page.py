"""HTML pages: visible text, one section per heading."""

from __future__ import annotations

import contextlib
import re
from typing import BinaryIO

from sharedcli.ingest.limits import Limits
from sharedcli.ingest.readers.markup import sections_of
from sharedcli.ingest.readers.text import decode, decode_damaged, read_all
from sharedcli.ingest.reading import Reading

_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{1,40})"
    rb"|<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_-]{1,40})",
    re.I,
)
_HEAD_BYTES = 2048
# A page may not choose from all of Python's codecs: some are slow, some are no text encodings.
_KNOWN = re.compile(
    r"(?:windows|cp)-?(?:125\d|874)|iso-?8859-\d{1,2}|koi8-[ru]|gbk|gb2312|gb18030|big5(?:-hkscs)?"
    r"|euc-(?:jp|kr)|shift[_-]jis|iso-2022-jp|macintosh|ibm866|tis-620|latin-?1|(?:us-)?ascii"
)
# Browsers read some encodings as their supersets, and so do the people who write pages
# (encoding.spec.whatwg.org).
_SUPERSETS = {
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1"), "cp1252"),
    **dict.fromkeys(("ascii", "us-ascii"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis"), "cp932"),
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "tis-620": "cp874",
}
_ESCAPED = b"\x1b$"
"""How ISO-2022-JP turns to Japanese: seven bits, so that it would pass for UTF-8."""


def read(stream: BinaryIO, limits: Limits) -> Reading:
    """Read an HTML page."""
    text, warning = decode_page(read_all(stream, limits))
    sections, title = sections_of(text)
    reading = Reading(
        "text/html", paged=False, sections=iter(sections), total=len(sections), title=title
    )
    if warning:
        reading.warnings.append(warning)
    return reading


def decode_page(data: bytes) -> tuple[str, str | None]:
    """Decode as UTF-8 if that fits, else as the page declares, else as ``text.decode`` guesses.

    Returns the text and a warning if the encoding was guessed.
    """
    declared = _DECLARED.search(data[:_HEAD_BYTES])
    name = (declared[1] or declared[2]).decode("ascii").lower() if declared else ""
    if not (name == "iso-2022-jp" and _ESCAPED in data):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("utf-8-sig"), None
    if name in ("utf-8", "utf8"):
        return decode_damaged(data)
    if _KNOWN.fullmatch(name):
        encoding = _SUPERSETS.get(name, name.replace("windows-", "cp"))
        with contextlib.suppress(LookupError):
            return data.decode(encoding, "replace"), None
    return decode(data)
