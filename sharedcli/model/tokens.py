"""Document text becomes tokens: no special tokens, with character offsets.

What looks like a special token or a chat marker inside a document is text and stays text: it is
split into ordinary tokens. Text is tokenised in pieces of bounded size, cut at line ends, so that
neither time nor memory depends on how a document is laid out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE_CHARS = 65_536

TokenArray = NDArray[np.int32]


def tokenize_text(tokenizer: Any, text: str) -> tuple[TokenArray, TokenArray]:
    """Return token ids [T] and their half-open character spans [T, 2] in ``text``."""
    ids: list[TokenArray] = [np.empty(0, np.int32)]
    spans: list[TokenArray] = [np.empty((0, 2), np.int32)]
    for start, end in _pieces(text):
        encoded = tokenizer(
            text[start:end],
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        if encoded["input_ids"]:
            ids.append(np.asarray(encoded["input_ids"], np.int32))
            spans.append(np.asarray(encoded["offset_mapping"], np.int32) + start)
    return np.concatenate(ids), np.concatenate(spans)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(start + PIECE_CHARS, len(text))
        if end < len(text):
            line = text.rfind("\n", start, end) + 1
            end = line if line > start else end
        yield start, end
        start = end
