"""The one sanitiser for text that enters the store or reaches the terminal.

What it removes, and why:
- escape sequences (``ESC [ ...`` colours and cursor moves, ``ESC ] ...`` titles, links and
  clipboard writes, and their kin) with their payload, which is no text;
- every other control character of C0 and C1 except newline and tab, since terminals act on them;
- bidirectional controls, which make text read differently from what it says;
- invisible format characters: zero-width space, word joiner, byte-order mark, soft hyphen,
  invisible operators, interlinear marks, tag characters and the supplementary variation
  selectors, which carry hidden messages to a language model. The joiners U+200C and U+200D and
  the emoji selectors stay: Persian, the Indic scripts and emoji need them;
- lone surrogates and U+FFFE/U+FFFF, which cannot be encoded or stored.

``\r\n``, ``\r``, form feed, vertical tab and the Unicode line separators become a newline, so that
words on both sides stay apart.

The 8-bit introducers (U+0090, U+009D, ...) are dropped without what follows: in wrongly decoded
text they are the middle of a quotation mark, and without the introducer the payload is harmless.

A string sequence that nobody ends stops at the next line break or after ``MAX_STRING`` characters,
so that a stray escape cannot swallow a document.

Streaming and one-shot results are equal however the text is cut; both are idempotent.
"""

from __future__ import annotations

import os
import re

MAX_STRING = 4096
"""Longest payload of an escape string (OSC, DCS, ...) that is dropped with it, in characters."""

MAX_SEQUENCE = 64
"""Longest control sequence; a longer run of digits and blanks is a document's numbers."""

_LINE_BREAKS = re.compile("[\v\f\u2028\u2029]|\r\n?")
_ESC = "\x1b"
_INTRODUCER = re.compile("[\x1b\x9b]")
_UNWANTED_CLASS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e0fff"
)
_UNWANTED = re.compile(f"[{_UNWANTED_CLASS}]")
_UNWANTED_RUN = re.compile(f"[{_UNWANTED_CLASS}]+")
_BLANKS = re.compile(r"\s+")

# States of the scanner, after ECMA-48.
_GROUND, _ESCAPE, _INTERMEDIATE, _CSI, _STRING, _STRING_ESCAPE = range(6)
_STRING_INTRODUCERS = frozenset("]PX^_")
_STRING_STOP = re.compile("[\x07\x18\x1a\x9c\n\x1b]")


class StreamSanitiser:
    """Sanitises text that arrives in pieces.

    ``"".join(map(s.feed, pieces)) + s.close()`` equals ``sanitise("".join(pieces))`` for every way
    to cut the text. At most one character (a carriage return) is held back between calls.
    """

    def __init__(self) -> None:
        self._state = _GROUND
        self._length = 0
        self._held_return = False

    def feed(self, text: str) -> str:
        """Return what ``text`` adds to the clean output."""
        if self._held_return:
            text = "\r" + text
            self._held_return = False
        if text.endswith("\r"):
            text = text[:-1]
            self._held_return = True
        return self._scan(_LINE_BREAKS.sub("\n", text))

    def close(self) -> str:
        """Return what was held back. An unfinished escape sequence is dropped."""
        tail = self._scan("\n") if self._held_return else ""
        self._state, self._length, self._held_return = _GROUND, 0, False
        return tail

    def _scan(self, text: str) -> str:
        kept: list[str] = []
        position = 0
        while position < len(text):
            if self._state == _GROUND:
                position = self._ground(text, position, kept)
            elif self._state == _STRING:
                position = self._string(text, position)
            else:
                position = self._sequence(text, position)
        return "".join(kept)

    def _ground(self, text: str, position: int, kept: list[str]) -> int:
        introducer = _INTRODUCER.search(text, position)
        end = introducer.start() if introducer else len(text)
        kept.append(_UNWANTED_RUN.sub("", text[position:end]))
        if introducer is None:
            return end
        self._state, self._length = (_ESCAPE if text[end] == _ESC else _CSI), 0
        return end + 1

    def _string(self, text: str, position: int) -> int:
        """Skip the payload of an OSC, DCS, SOS, PM or APC string."""
        room = MAX_STRING - self._length
        stop = _STRING_STOP.search(text, position, position + room)
        if stop is None:
            skipped = min(len(text) - position, room)
            self._length += skipped
            if self._length >= MAX_STRING:
                self._state = _GROUND
            return position + skipped
        if stop.group() == _ESC:
            self._state = _STRING_ESCAPE
            return stop.end()
        self._state = _GROUND
        # The line break belongs to the text, the other terminators to the sequence.
        return stop.start() if stop.group() == "\n" else stop.end()

    def _sequence(self, text: str, position: int) -> int:
        """Consume one character of an escape or control sequence, or hand it back to the text."""
        char = text[position]
        if self._state == _STRING_ESCAPE:
            # ESC \ ends the string; any other escape ends it too and starts a new sequence.
            self._state, self._length = (_GROUND if char == "\\" else _ESCAPE), 0
            return position + 1 if char == "\\" else position
        self._length += 1
        if char == _ESC:
            self._state, self._length = _ESCAPE, 0
            return position + 1
        if self._length > MAX_SEQUENCE:
            self._state = _GROUND
            return position
        if self._state == _ESCAPE and char == "[":
            self._state = _CSI
            return position + 1
        if self._state == _ESCAPE and char in _STRING_INTRODUCERS:
            self._state, self._length = _STRING, 0
            return position + 1
        if " " <= char <= "/" or (self._state == _CSI and "0" <= char <= "?"):
            if self._state == _ESCAPE:
                self._state = _INTERMEDIATE
            return position + 1
        first_final = "@" if self._state == _CSI else "0"
        self._state = _GROUND
        # A character that cannot end the sequence is text (or a control, which ground drops).
        return position + 1 if first_final <= char <= "~" else position


def sanitise(text: str) -> str:
    """Return ``text`` without control, escape, bidirectional and invisible characters.

    Newlines and tabs stay; every kind of line break becomes a newline. See the module's docstring
    for the list. Idempotent.
    """
    text = _LINE_BREAKS.sub("\n", text)
    if _UNWANTED.search(text) is None:
        return text
    stream = StreamSanitiser()
    return stream.feed(text) + stream.close()


def sanitise_line(text: str, limit: int = 200) -> str:
    """Return ``text`` as one clean line for titles, labels and messages.

    Blanks and line breaks are collapsed to single spaces; more than ``limit`` characters are cut
    and end with an ellipsis.
    """
    # The cut before cleaning bounds the work on a title of a hundred megabytes.
    line = _BLANKS.sub(" ", sanitise(text[: 8 * limit + MAX_STRING])).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def printable_path(path: str | os.PathLike[str]) -> str:
    r"""Return a file name that can be stored, printed and put into JSON.

    Ordinary names come back unchanged. Bytes that are no UTF-8, line breaks and whatever
    ``sanitise`` would drop are written as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``, so that two
    different names stay different.
    """
    raw = os.fspath(path)
    if os.name == "posix":
        raw = os.fsencode(raw).decode("utf-8", "surrogateescape")
    return _ODD_IN_PATH.sub(_escape, raw)


def absolute_path(path: str | os.PathLike[str]) -> str:
    """The same from the root of the file system, by name alone: links are not followed."""
    return printable_path(os.path.abspath(path))  # noqa: PTH100


_ODD_IN_PATH = re.compile(f"[{_UNWANTED_CLASS}\t\n\u2028\u2029]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
