"""Document text becomes tokens: no special tokens, with character offsets.

What looks like a special token or a chat marker inside a document is text and stays text: it is
split into ordinary tokens. Tokenizers do so with what they call special when they are asked to, but
not with markers that were added without that name (``<think>``, ``<tool_call>``): text is cut
inside of those. Text is tokenised in pieces of bounded size, cut at line ends, so that neither time
nor memory depends on how a document is laid out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE_CHARS = 65_536
PIECES = 4
"""Pieces that a tokenizer is given together: its threads share them."""

TokenArray = NDArray[np.int32]


def tokenize_text(tokenizer: Any, text: str) -> tuple[TokenArray, TokenArray]:
    """Return token ids [T] and their half-open character spans [T, 2] in ``text``."""
    ids: list[TokenArray] = [np.empty(0, np.int32)]
    spans: list[TokenArray] = [np.empty((0, 2), np.int32)]
    pieces = _pieces(text, _markers(tokenizer))
    while some := list(islice(pieces, PIECES)):
        encoded = tokenizer(
            [text[start:end] for start, end in some],
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        found = zip(some, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        for (start, _), numbers, places in found:
            if numbers:
                ids.append(np.asarray(numbers, np.int32))
                spans.append(np.asarray(places, np.int32) + start)
    return np.concatenate(ids), np.concatenate(spans)


def _markers(tokenizer: Any) -> re.Pattern[str] | None:
    """Match the first character of each added token that is not special but no word or blank."""
    rests: dict[str, list[str]] = defaultdict(list)
    for entry in tokenizer.added_tokens_decoder.values():
        content = entry.content
        if not entry.special and len(content) > 1 and not content[0].isalnum() and content.strip():
            rests[content[0]].append(re.escape(content[1:]))
    ahead = (f"{re.escape(first)}(?={'|'.join(rest)})" for first, rest in rests.items())
    return re.compile("|".join(ahead)) if rests else None


def _pieces(text: str, markers: re.Pattern[str] | None) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(start + PIECE_CHARS, len(text))
        if end < len(text):
            line = text.rfind("\n", start, end) + 1
            end = line if line > start else end
        for marker in markers.finditer(text, start, end) if markers else ():
            yield start, marker.end()
            start = marker.end()
        if start < end:
            yield start, end
        start = end
