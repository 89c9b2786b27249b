"""Words of scripts that put no blanks between them, for the full-text index.

SQLite's tokenizer takes a whole run of Chinese or Thai for one word, which no question holds. So
what is indexed, and what is searched for, has overlapping pieces of such a run in its place, as
Lucene's CJKAnalyzer makes them: no dictionary, no language to be told.

Notable choices:
- Two characters where they are syllables or ideas, four where they are letters
  (``docs/concepts/retrieval.md`` has the measurement).
- Japanese changes its script where words meet, so a run ends there: the noun before a particle is
  the same word before any other.
"""

from __future__ import annotations

import re

HIRAGANA = r"\u3041-\u309f"
_IDEOGRAPHS = (
    r"\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",  # Han
    HIRAGANA,
    r"\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f",  # Katakana
    r"\uac00-\ud7af",  # Hangul: blanks, but particles joined to the words
)
_LETTERS = (
    r"\u0e01-\u0e3a\u0e40-\u0e4e",  # Thai
    r"\u0e81-\u0ece",  # Lao
    r"\u1000-\u103f",  # Burmese
    r"\u1780-\u17d3",  # Khmer
)
CJK = "".join(_IDEOGRAPHS)
SOUTH_EAST_ASIAN = "".join(_LETTERS)
"""Ranges of characters, for the brackets of a regular expression."""

LETTERS_PER_PIECE = 4

_RUN = re.compile(
    "|".join(
        (*(f"[{script}]+" for script in _IDEOGRAPHS), f"(?P<letters>[{SOUTH_EAST_ASIAN}]+)"),
    )
)
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Latin letters and digits as wide as a Chinese character, in their usual form."""
_UNSPACED = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}]+")


def unspaced(word: str) -> bool:
    """Whether a word is of scripts without blanks alone."""
    return _UNSPACED.fullmatch(word) is not None


def with_ngrams(text: str) -> str:
    """Return ``text`` with each run of a script without blanks as pieces of it between blanks.

    A shorter run stays as it is. Text of other scripts is returned unchanged.
    """
    if not _RUN.search(text):
        return text
    return _RUN.sub(_pieces, text.translate(_WIDE))


def _pieces(run: re.Match[str]) -> str:
    text = run.group()
    size = LETTERS_PER_PIECE if run["letters"] else 2
    pieces = (text[at : at + size] for at in range(max(1, len(text) - size + 1)))
    return f" {' '.join(pieces)} "
