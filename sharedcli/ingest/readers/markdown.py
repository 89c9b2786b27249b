"""Markdown as plain text, one section per heading.

The markup stays: language models read it well, and offsets stay those of the author. Headings are
recognised after CommonMark 0.31 (ATX and setext), outside of fenced code and front matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from sharedcli.ingest.limits import Limits
from sharedcli.ingest.readers.text import decode, read_all
from sharedcli.ingest.reading import Reading, Section

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")  # "```code```" is no fence
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_NO_PARAGRAPH = re.compile(r"\s*(?:$|[#>|]|[-+*] |\d+[.)] | {4}|\t)")
_FRONT_TITLE = re.compile(r"title:\s*(.+)")
_MAX_HEADING = 1000  # characters; it bounds the work of the expressions above, which is quadratic
_MARKS = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)|[*`]+")


def read(stream: BinaryIO, limits: Limits) -> Reading:
    """Read a markdown file."""
    text, warning = decode(read_all(stream, limits))
    reading = Reading("text/markdown", paged=False, sections=iter(()))
    if warning:
        reading.warnings.append(warning)
    reading.sections = _sections(text, reading)
    return reading


def _sections(text: str, reading: Reading) -> Iterator[Section]:
    lines = text.splitlines(keepends=True)
    start, label = 0, None
    for line, level, heading in _headings(lines, reading):
        if line > start:
            yield Section("".join(lines[start:line]), label)
        start, label = line, heading
        if level == 1 and reading.title is None:
            reading.title = heading
    yield Section("".join(lines[start:]), label)


def _headings(lines: list[str], reading: Reading) -> Iterator[tuple[int, int, str]]:
    """Yield line index, level and text of every heading."""
    fence: str | None = None
    first = _front_matter(lines, reading)
    for index in range(first, len(lines)):
        line = lines[index].rstrip("\r\n")
        if len(line) > _MAX_HEADING:
            continue
        opening = _FENCE.match(line)
        if fence is not None:
            if opening and opening[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
        elif opening:
            fence = opening[1]
        elif atx := _ATX.match(line):
            yield index, len(atx[1]), _plain(atx[2] or "")
        elif index > first and (under := _SETEXT.match(line)):
            above = lines[index - 1]
            if len(above) <= _MAX_HEADING and not _NO_PARAGRAPH.match(above):
                yield index - 1, 1 if under[1][0] == "=" else 2, _plain(above)


def _front_matter(lines: list[str], reading: Reading) -> int:
    """Return the line after YAML front matter (0 without any) and take its title."""
    if not lines or lines[0].strip() != "---":
        return 0
    for index, line in enumerate(lines[1:], start=1):
        if line.strip() in {"---", "..."}:
            return index + 1
        if (title := _FRONT_TITLE.match(line)) and reading.title is None:
            reading.title = title[1].strip().strip("'\"")
    return 0


def _plain(heading: str) -> str:
    return _MARKS.sub(lambda match: match[1] or "", heading).strip()
