"""What to do with the text that pypdf returns for a page.

It knows nothing of PDF: strings in, strings out.
"""

from __future__ import annotations

import re

_NUMBER_LINE = re.compile(r"[\s$€£¥%()\[\]—–\-+.,:/*†\d]*")
_FIGURE = re.compile(r"(?<=\s)(?:[$€£¥] ?)?\(?\d[\d,.]{0,19}\)?%?(?=\s)|(?<=\s)[—–](?=\s)")
_MAX_ROW = 250
_MIN_LINES = 8
_MIN_TORN_SHARE = 0.15
_MIN_ROWS_SHARE = 0.3
_MAX_INDENT = 4
_CENTRED_INDENT = 7  # from here on it is no hierarchy but a centred title or an empty first column

_SURROGATE = re.compile("[\ud800-\udfff]")
_INDENT = re.compile(r"^[ \t]{5,}", re.M)
_GAP = re.compile(r"(?<=\S)[ \t]{3,}(?=\S)")
_SIGN_GAP = re.compile(r"(?<=[$€£¥]) {2,}(?=[\d(—–-])")
_PERCENT_GAP = re.compile(r"(?<=[\d)]) {2,}(?=%)")
_SET_APART = re.compile(r"(?<=\w) {2,}(?=-[^\W\d])")
_WIDE = re.compile(r"(?<=\S) {2,}(?=\S)")
_MANY_WORDS = 8
_BLANK_LINES = re.compile(r"\n{3,}")
_ODD_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_SOFT_HYPHEN_BREAK = re.compile("\u00ad\n?")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
)


def is_table(text: str) -> bool:
    """Whether much of a page is a table: rows of figures, or lines that hold a single number.

    The latter is a table taken apart. In prose hardly any line is either.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    torn = sum(1 for line in lines if len(line) < 40 and _NUMBER_LINE.fullmatch(line))
    rows = sum(1 for line in lines if len(line) < _MAX_ROW and len(_FIGURE.findall(f"{line} ")) > 1)
    return any(
        count >= _MIN_LINES and count >= share * len(lines)
        for count, share in ((torn, _MIN_TORN_SHARE), (rows, _MIN_ROWS_SHARE))
    )


def tidy(text: str) -> str:
    """Normalise blanks, ligatures and hyphens so that words are found and tokens are few.

    Columns of a table end up two blanks apart; indentation shows hierarchy and stays, up to four.
    """
    if _SURROGATE.search(text):
        # Some fonts map to halves of a surrogate pair; joined, they are the character meant.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _ODD_SPACES.sub(" ", text.replace("\r\n", "\n").translate(_LIGATURES))
    text = _SOFT_HYPHEN_BREAK.sub("", text)
    # An expression for trailing blanks would take quadratic time on a long run of them.
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    text = _INDENT.sub(_indent, text)
    text = _GAP.sub("  ", text)
    text = _PERCENT_GAP.sub(" ", _SIGN_GAP.sub(" ", _SET_APART.sub("", text)))
    text = "\n".join(map(_unjustified, text.split("\n")))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _unjustified(line: str) -> str:
    """A line of prose that was set justified, with one blank between words."""
    words = line.split()
    wide = _WIDE.findall(line)
    prose = sum(word[0].isalpha() for word in words) > len(words) / 2
    if len(words) < _MANY_WORDS or 2 * len(wide) <= len(words) or not prose:
        return line
    return _WIDE.sub(" ", line)


def _indent(match: re.Match[str]) -> str:
    return "" if len(match[0]) >= _CENTRED_INDENT else " " * _MAX_INDENT
