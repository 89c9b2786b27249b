"""Which document does a question name?

Asked over a library of filings, "What was Verizon's debt in 2022?" is about one of them, but BM25
and sentence vectors rank passages: a passage on debt in another filing may win.

Notable choices:
- A document is named by a word of the question that many of its passages hold and other documents
  hardly do: its company, product or heroine. Titles and file names are not trusted with this; they
  are often "10-K" or "final_v2.pdf".
- Where words written with a capital clearly name a document, other words do not: with three
  filings in a library, "fiscal" may be as good as one's name, and is not what Corning's fiscal year
  was asked for.
- It is a gentle push, not a filter: questions that name nothing stay as they are, and a clearly
  better passage elsewhere still wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SPREAD = 0.2
"""Part of a document's passages that must hold a word before it counts fully as its name."""

CLEAR = 0.5
"""A document is clearly named with this strength."""

MAX_WORDS = 24
"""Words of a question that are looked up at most."""


def naming_strengths(
    counts: Sequence[Mapping[str, int]], sizes: Mapping[str, int]
) -> dict[str, float]:
    """Return for each document how clearly the question names it, between 0 and 1.

    Args:
        counts: for each word of the question, the passages that hold it per document.
        sizes: passages of every document that is searched.
    """
    strengths = dict.fromkeys(sizes, 0.0)
    for word in counts:
        shares = {doc_id: word.get(doc_id, 0) / max(1, size) for doc_id, size in sizes.items()}
        first, second = (*sorted(shares.values(), reverse=True), 0.0, 0.0)[:2]
        for doc_id, share in shares.items():
            if share == first > second:  # a word that two documents share equally names neither
                strength = (1 - second / first) * min(1.0, first / SPREAD)
                strengths[doc_id] = max(strengths[doc_id], strength)
    return strengths
