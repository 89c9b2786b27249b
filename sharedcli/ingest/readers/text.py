"""Plain text, source code and everything else that is characters.

Decoding goes from certain to guessed: byte-order mark, UTF-8, UTF-8 with a few damaged bytes, then
charset-normalizer's guess, which the user is told. What is not text is refused.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from sharedcli.errors import LimitError, UnreadableError
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.reading import Reading, Section

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # UTF-32-LE starts with UTF-16-LE's mark, so it must be tried first.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 1 << 17
_MAX_DAMAGED = 0.5  # of other characters beyond ASCII: in other encodings few happen to be UTF-8
_MAX_CONTROLS = 0.05
_FEW_CONTROLS = 32  # so many are tolerated in a short text, where a share says little
_CONTROLS = re.compile("[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_NOT_TEXT = "is no text and no known document format; convert it to PDF or text"


def read_all(stream: BinaryIO, limits: Limits) -> bytes:
    """Read a text file whole.

    Raises:
        LimitError: it has more bytes than ``limits.text_chars`` characters can take.
    """
    # No encoding needs more than four bytes for a character.
    data = stream.read(4 * limits.text_chars + 1)
    if len(data) > 4 * limits.text_chars:
        raise too_long(limits)
    return data


def too_long(limits: Limits) -> LimitError:
    """Return the error for a document with too much text."""
    return LimitError(f"holds more than {limits.text_chars:,} characters of text; split it")


def decode_certain(data: bytes) -> str | None:
    """Decode by byte-order mark or as strict UTF-8; None if neither fits.

    Raises:
        UnreadableError: it decodes, but to control characters: a binary file.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _check(data.decode(encoding, "replace"))
    try:
        return _check(data.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def decode(data: bytes) -> tuple[str, str | None]:
    """Return the text of ``data`` and a warning if the encoding was guessed.

    Raises:
        UnreadableError: a binary file, or an encoding that cannot be told.
    """
    certain = decode_certain(data)
    if certain is not None:
        return certain, None
    damaged, warning = decode_damaged(data)
    beyond = sum(1 for char in damaged if char > "\x7f")
    bad = damaged.count("\ufffd")
    if bad <= _MAX_DAMAGED * (beyond - bad):
        return _check(damaged), warning
    if b"\0" in data[:_SAMPLE_BYTES]:
        raise UnreadableError(_NOT_TEXT)
    found = _BEYOND_ASCII.search(data)
    start = max(0, found.start() - _SAMPLE_BYTES // 2) if found else 0
    encoding = _guess(data[start : start + _SAMPLE_BYTES])
    if encoding is None:
        raise UnreadableError(_NOT_TEXT)
    text = _check(data.decode(encoding, "replace"))
    return text, f"the encoding is not stated and was guessed to be {encoding}"


def decode_damaged(data: bytes) -> tuple[str, str]:
    """Return the text of UTF-8 with damaged bytes, and a sentence that counts them."""
    text = data.decode("utf-8-sig", "replace")
    return text, f"{text.count(chr(0xFFFD))} damaged characters were replaced"


def _guess(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        return None
    # Short western texts fit a dozen code pages equally well; then the commonest is meant.
    for match in matches:
        if "cp1252" in match.could_be_from_charset and match.coherence >= best.coherence:
            return "cp1252"
    return best.encoding


def _check(text: str) -> str:
    sample = text[:_SAMPLE_BYTES]
    if len(_CONTROLS.findall(sample)) > max(_FEW_CONTROLS, _MAX_CONTROLS * len(sample)):
        raise UnreadableError(_NOT_TEXT)
    return text


def read(stream: BinaryIO, limits: Limits) -> Reading:
    """Read text as one section."""
    text, warning = decode(read_all(stream, limits))
    reading = Reading("text/plain", paged=False, sections=iter([Section(text)]), total=1)
    if warning:
        reading.warnings.append(warning)
    return reading


def read_pages(stream: BinaryIO, limits: Limits) -> Reading:
    """Read text whose form feeds, if it has any, separate printed pages."""
    text, warning = decode(read_all(stream, limits))
    pages = text.removesuffix("\f").split("\f")
    reading = Reading(
        "text/plain", paged=len(pages) > 1, sections=_sections(pages), total=len(pages)
    )
    if warning:
        reading.warnings.append(warning)
    return reading


def _sections(pages: list[str]) -> Iterator[Section]:
    return (Section(page) for page in pages)
