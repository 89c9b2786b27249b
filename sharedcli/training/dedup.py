"""Near-identical documents and template text, taken out before training.

A family of documents written from one template shares long paragraphs; training on them teaches the
template, and measuring on them flatters. Paragraphs (blocks between blank lines) that stand in more
than one document are kept once; documents that have little of their own left are dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from sharedcli.training.records import Record

SHORTEST = 60
"""Characters below which a paragraph (a heading, "None.") may repeat."""
OWN_SHARE = 0.2
"""Share of its text that a document must keep to stay."""

_BLANK = re.compile(r"\n[ \t]*\n+")


def without_repeats(records: Sequence[Record]) -> list[Record]:
    """Return ``records`` without repeated paragraphs and without documents that were mostly those.

    Documents with questions stay as they are, since answers point into them; exact copies of them
    are dropped.
    """
    seen: set[bytes] = set()
    kept: list[Record] = []
    for record in records:
        if record.questions:
            key = _key(record.text + "\n".join(q.question for q in record.questions))
            if key not in seen:
                kept.append(record)
                seen.add(key)
            continue
        paragraphs = _BLANK.split(record.text)
        own = [text for text in paragraphs if len(text) < SHORTEST or _key(text) not in seen]
        seen.update(_key(text) for text in paragraphs if len(text) >= SHORTEST)
        length = sum(map(len, own))
        if length and length >= OWN_SHARE * sum(map(len, paragraphs)):
            same = len(own) == len(paragraphs)
            kept.append(record if same else replace(record, text="\n\n".join(own)))
    return kept


def _key(paragraph: str) -> bytes:
    return hashlib.blake2b(" ".join(paragraph.split()).encode(), digest_size=12).digest()
