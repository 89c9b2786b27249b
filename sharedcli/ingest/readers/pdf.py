"""PDF through pypdf: one section per physical page, labelled with what is printed on it.

Notable choices:
- Plain extraction, which follows the order of the content stream, is right for prose and for
  columns. A page that is mostly a table is read again in layout mode, which keeps a row's numbers
  on its line and headings above their columns; blank cells get a dash.
- A page that fails or takes too long is left out with a warning: the rest is worth having.
- pypdf's own limits against decompression bombs stay as they are.
- A signal limits the time per page; it must not be an ``Exception``, which pypdf would swallow.
"""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from pypdf import PageObject, PasswordType, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from sharedcli.errors import DocumentError, EncryptedError, LimitError, NoTextError, UnreadableError
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.readers.blank_cells import fill_blank_cells
from sharedcli.ingest.readers.pdf_text import is_table, tidy
from sharedcli.ingest.reading import Reading, Section

# From "3 Tr" to the next mode or the end of the graphics state (ISO 32000-1, 9.3.6).
_INVISIBLE = re.compile(rb"(?<![\d.])3\s+Tr\b(.*?)(?=(?<![\d.])[0-24-7]\s+Tr\b|\bQ\b|\Z)", re.S)
# No closing parenthesis is asked for: without one to find, the search would be quadratic.
_STRINGS = re.compile(rb"\((?:[^()\\]|\\.)*|<[0-9A-Fa-f\s]*>", re.S)
_MANY_DISTINCT_BYTES = 10  # some programs hide blanks, whose strings repeat a byte or two
_MAX_SCANNED_FOR_INVISIBLE = 1 << 20
_NAMED_PAGES = 5
_MAX_SLOW_PAGES = 2  # an honest document has a map or two; more are a trap


class _PageTimeoutError(BaseException):
    """Raised by the timer inside a page's extraction."""


def read(stream: BinaryIO, limits: Limits) -> Reading:
    """Read a PDF; an empty user password is tried.

    Raises:
        EncryptedError: it needs a password.
        UnreadableError: it is no PDF, or too broken to find its pages.
        LimitError: it has more than ``limits.pages`` pages.
        NoTextError: no page has text (raised when the sections are exhausted).
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(stream, strict=False)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise EncryptedError(
                "needs a password; save a copy without one (for example with `qpdf --decrypt`)"
            )
        total = len(reader.pages)
    except DocumentError:
        raise
    except Exception as error:
        raise _translate(error) from None
    if total > limits.pages:
        raise LimitError(f"has {total:,} pages, more than {limits.pages:,}; split it")
    reading = Reading("application/pdf", paged=True, sections=iter(()), total=total)
    reading.title = _title(reader)
    reading.sections = _sections(reader, total, limits, reading)
    return reading


def _translate(error: Exception) -> DocumentError:
    if isinstance(error, FileNotDecryptedError):
        return EncryptedError("needs a password; save a copy without one")
    if isinstance(error, DependencyError | NotImplementedError):
        return EncryptedError("is encrypted in a way that is not supported; save a plain copy")
    if isinstance(error, LimitReachedError):
        return LimitError(f"asks for more than a PDF may: {_first_line(error)}")
    return UnreadableError(
        f"is damaged or no PDF ({_first_line(error)}); open and save it again with a PDF program"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(". ")


def _sections(reader: PdfReader, total: int, limits: Limits, reading: Reading) -> Iterator[Section]:
    labels = _labels(reader, total)
    notes = _Notes()
    for index in range(total):
        number = index + 1
        text = ""
        try:
            with _processor_time(limits.page_seconds):
                page = reader.pages[index]
                text = _text_of(page)
                if _has_invisible_text(page):
                    notes.invisible.append(number)
        except _PageTimeoutError:
            notes.slow.append(number)
            if len(notes.slow) > _MAX_SLOW_PAGES:
                raise LimitError(
                    f"takes too long to read: {_pages(notes.slow)} each needed more than "
                    f"{limits.page_seconds:g} s; simplify it"
                ) from None
        except MemoryError:
            raise
        except Exception as error:
            notes.broken.append(number)
            notes.last_error = error
        if not text and number not in notes.slow and number not in notes.broken:
            notes.empty.append(number)
        yield Section(text, labels[index] if labels else None)
    reading.warnings.extend(notes.warnings(total))
    notes.raise_if_nothing(total)


class _Notes:
    """What went wrong on which pages."""

    def __init__(self) -> None:
        self.empty: list[int] = []
        self.broken: list[int] = []
        self.slow: list[int] = []
        self.invisible: list[int] = []
        self.last_error: Exception | None = None

    def warnings(self, total: int) -> Iterator[str]:
        if self.empty:
            yield f"{_pages(self.empty)} of {total} without a text layer (scanned or blank)"
        if self.broken:
            yield f"{_pages(self.broken)} of {total} could not be read and left out"
        if self.slow:
            yield f"{_pages(self.slow)} of {total} took too long and left out"
        if self.invisible:
            yield f"{_pages(self.invisible)} of {total} with invisible text (a scan's, or hidden)"

    def raise_if_nothing(self, total: int) -> None:
        missing = len(self.empty) + len(self.broken) + len(self.slow)
        if missing < total:
            return
        if self.slow and len(self.slow) >= len(self.broken):
            raise LimitError("takes too long to read: no page was done in time; simplify it")
        if self.last_error is not None and len(self.broken) >= len(self.empty):
            raise _translate(self.last_error)
        raise NoTextError(
            "has no text layer (scanned?); run OCR first, for example `ocrmypdf in.pdf out.pdf`"
        )


def _pages(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED_PAGES]))
    more = f" and {len(numbers) - _NAMED_PAGES} more" if len(numbers) > _NAMED_PAGES else ""
    return f"page{'s' if len(numbers) > 1 else ''} {named}{more}"


def _text_of(page: PageObject) -> str:
    text = page.extract_text()
    if not is_table(text):
        return tidy(text)
    try:
        laid_out = page.extract_text(extraction_mode="layout")
    except (MemoryError, LimitReachedError):
        raise
    except Exception:
        return tidy(text)
    # Layout mode leaves rotated text out; a page that loses much of its text stays as it was.
    if _letters(laid_out) < 0.9 * _letters(text):
        return tidy(text)
    return tidy(fill_blank_cells(laid_out))


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _has_invisible_text(page: PageObject) -> bool:
    """Whether the page's own content shows text in rendering mode 3: a cheap look, no proof."""
    contents = page.get_contents()
    if contents is None:
        return False
    return any(
        len(set(b"".join(_STRINGS.findall(match[1])))) > _MANY_DISTINCT_BYTES
        for match in _INVISIBLE.finditer(contents.get_data()[:_MAX_SCANNED_FOR_INVISIBLE])
    )


def _labels(reader: PdfReader, total: int) -> list[str] | None:
    """Return the printed labels, or None if the file has none or they are damaged."""
    try:
        if "/PageLabels" not in reader.root_object:
            return None
        labels = reader.page_labels
    except MemoryError:
        raise
    except Exception:
        return None
    return labels if len(labels) == total else None


def _title(reader: PdfReader) -> str | None:
    try:
        metadata = reader.metadata
        title = metadata.title if metadata is not None else None
    except MemoryError:
        raise
    except Exception:
        return None
    return str(title).removeprefix("Microsoft Word - ").strip() or None if title else None


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """Raise ``_PageTimeoutError`` after so much processor time, where timers exist."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(*_: Any) -> None:
        raise _PageTimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    # It repeats, because an exception raised inside a destructor is lost.
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
