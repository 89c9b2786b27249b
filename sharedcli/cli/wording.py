"""Numbers, sizes, times and places in words, for every command alike. No Rich."""

from __future__ import annotations

from sharedcli.ingest.document import Document, Page


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Return "1 page", "1,234 pages"."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def size(count: float) -> str:
    """Return bytes in decimal units: "820 B", "4.6 MB"."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            return f"{count:.1f} {unit}" if count < 99.95 else f"{count:.0f} {unit}"
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Return "0.3 s", "42 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def place(number: int, label: str | None, paged: bool, paragraph: int | None = None) -> str:
    """Name one page: "p. 12", "p. 12 (printed iv)"; a section: "Results, paragraph 3", "part 3"."""
    if not paged:
        inside = f", paragraph {paragraph}" if paragraph else ""
        return (label or f"part {number}") + inside
    if label is None or label == str(number):
        return f"p. {number}"
    return f"p. {number} (printed {label})"


def page_at(document: Document, offset: int) -> Page:
    """Return the page of a character; of the last one for the end of the text."""
    return document.page_at(min(offset, max(0, len(document.text) - 1)))


def page_range(document: Document, start: int, end: int) -> str:
    """Name the pages that a character span touches: "p. 3", "pp. 3–5", "parts 1–2"."""
    first = page_at(document, start).number
    last = page_at(document, max(start, end - 1)).number
    one, many = ("p.", "pp.") if document.paged else ("part", "parts")
    return f"{one} {first}" if first == last else f"{many} {first}–{last}"


def ratio(tokens: int, slots: int) -> str:
    """Return tokens per slot: "16", "10.7"."""
    return f"{tokens / max(1, slots):.1f}".removesuffix(".0")
