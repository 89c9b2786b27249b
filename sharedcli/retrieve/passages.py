"""Cut a document into passages, the unit that is ranked, quoted and cited.

Notable choices:
- A passage never crosses a page, so that a citation names one page.
- The words of a page are shared out evenly, and each cut is moved to the nearest end of a sentence
  or paragraph: no page leaves a tail of three words that would win full-text ranking by being
  short. Where none is near, as in a table, the nearest end of a line will do; windows, of which
  only vectors are kept, take the first end of either kind, as those of every stored tree do.
- Two grains: full-text ranking is best over about 180 words, sentence vectors over about 60.
  So a passage is one row of the full-text index and holds up to three windows with a vector each.
- Long runs without spaces count as several words, each CJK character as one, and four letters
  of Thai or Khmer, so that sizes stay bounded whatever the document holds.

It knows nothing of tokens, models or disks.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise

from sharedcli.ingest.document import Document
from sharedcli.store.ngrams import CJK, SOUTH_EAST_ASIAN
from sharedcli.store.records import Passage

PASSAGE_WORDS = 180
"""Words of a passage on average; twice as many at most."""

WINDOW_WORDS = 60
"""Words of a window on average."""

WINDOWS = 3
"""Windows of a passage at most."""

Span = tuple[int, int]
Ends = Callable[[str, Span, Span], bool]

_WORD = re.compile(rf"[{CJK}]|[{SOUTH_EAST_ASIAN}]{{1,4}}|[^\s{CJK}{SOUTH_EAST_ASIAN}]{{1,40}}")
_ABBREVIATION = re.compile(r"(?<![^\W\d_])(?:[A-Za-z]|[A-Z][a-z]{1,3})\.\Z")
"""What mostly ends no sentence: "U.S.", "Mr.", "Inc.", "Corp."."""
_LINE = 200
_HEADING = re.compile(r"(?:\A|\n)(?:#[^\n]*|[^\n.!?:;,\d]*)\Z")
"""A line without a figure or a stop, or markdown's."""
_SENTENCE_END = re.compile(r"[.!?。！？][\"'”’»)\]]{0,3}\Z")


def cut_passages(document: Document, words: int = PASSAGE_WORDS) -> list[Passage]:
    """Return the document's passages in reading order, numbered from 0.

    All text but white space is in exactly one passage. A page without text has none.

    Args:
        document: the document; passages hold character spans of ``document.text``.
        words: words per passage on average.
    """
    spans = (
        (page.number, span)
        for page in document.pages
        for span in split_text(document.text[page.start : page.end], words, offset=page.start)
    )
    return [
        Passage(ordinal, number, start, end) for ordinal, (number, (start, end)) in enumerate(spans)
    ]


def cut_windows(text: str) -> list[Span]:
    """Return one to ``WINDOWS`` character spans of a passage's ``text``; none if it is blank."""
    return split_text(text, WINDOW_WORDS, most=WINDOWS, ends=(_breaks,))


def split_text(
    text: str,
    words: int,
    *,
    offset: int = 0,
    most: int | None = None,
    ends: Sequence[Ends] | None = None,
) -> list[Span]:
    """Share the words of ``text`` out into spans of about ``words`` words.

    Args:
        text: any text.
        words: words per span on average.
        offset: added to all positions.
        most: number of spans at most; they grow longer instead.
        ends: what tells whether a text may be cut between two words; the first that finds a place
            near enough. Sentences and paragraphs, then lines, if None.
    """
    found = _Words(text)
    if not len(found):
        return []
    parts = max(1, round(len(found) / words))
    parts = parts if most is None else min(parts, most)
    edges = _edges(text, found, parts, ends or (_concludes, _ends_line))
    return [
        (offset + found[first][0], offset + found[last - 1][1]) for first, last in pairwise(edges)
    ]


class _Words:
    """Spans of a text's words, 16 bytes each: a text without pages may be millions of words."""

    def __init__(self, text: str) -> None:
        self._edges = array("q")
        for match in _WORD.finditer(text):
            self._edges.extend(match.span())

    def __len__(self) -> int:
        return len(self._edges) // 2

    def __getitem__(self, word: int) -> Span:
        return self._edges[2 * word], self._edges[2 * word + 1]


def _edges(text: str, words: _Words, parts: int, ends: Sequence[Ends]) -> list[int]:
    """Word numbers at which the parts start, and the end: even, moved to the nearest break."""
    count = len(words)
    reach = count // (4 * parts)  # so that no part loses more than half
    places = (part * count // parts for part in range(1, parts))
    between = [_nearest(text, words, place, reach, ends) for place in places]
    return [0, *between, count]


def _nearest(text: str, words: _Words, place: int, reach: int, ends: Sequence[Ends]) -> int:
    """The word nearest to ``place`` before which a text ends; ``place`` if none is in reach."""
    for ended in ends:
        for distance in range(reach + 1):
            for word in (place - distance, place + distance):
                if 0 < word < len(words) and ended(text, words[word - 1], words[word]):
                    return word
    return place


def _concludes(text: str, before: Span, after: Span) -> bool:
    """Tell whether a sentence ends between two neighbouring words, or a paragraph, no heading."""
    if _ends_sentence(text, before, after):
        return not _ABBREVIATION.search(text, before[0], before[1])
    blank = text.count("\n", before[1], after[0]) > 1
    return blank and not _HEADING.search(text, max(0, before[1] - _LINE), before[1])


def _breaks(text: str, before: Span, after: Span) -> bool:
    """Tell whether a sentence or a line ends between two neighbouring words."""
    return _ends_line(text, before, after) or _ends_sentence(text, before, after)


def _ends_line(text: str, before: Span, after: Span) -> bool:
    return "\n" in text[before[1] : after[0]]


def _ends_sentence(text: str, before: Span, after: Span) -> bool:
    if before[1] == after[0]:
        return text[before[1] - 1] in "。！？"
    # A sentence goes on in lower case after an abbreviation: "approx. two thirds".
    ends = _SENTENCE_END.search(text, before[0], before[1])
    return ends is not None and not text[after[0]].islower()
