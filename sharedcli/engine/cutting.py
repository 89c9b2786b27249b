"""A document as it is indexed: its tokens and its passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharedcli.ingest.document import Document
from sharedcli.retrieve.passages import cut_passages
from sharedcli.store.records import Passage


@dataclass(frozen=True)
class CutDocument:
    """A document with its tokens and passages.

    Attributes:
        document: as it was read.
        token_ids, char_spans: int32 [T] and [T, 2].
        passages: spans of its text.
    """

    document: Document
    token_ids: NDArray[np.int32]
    char_spans: NDArray[np.int32]
    passages: list[Passage]


def cut(document: Document, tokenizer: Any) -> CutDocument:
    """Tokenise a document and cut its passages."""
    from sharedcli.model.tokens import tokenize_text

    token_ids, char_spans = tokenize_text(tokenizer, document.text)
    return CutDocument(document, token_ids, char_spans, cut_passages(document))
