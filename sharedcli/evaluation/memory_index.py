"""A passage index in memory: the store's own full-text table and vectors, without a store.

Ranking is the product's (``retrieve/find.py``), which reads this as it reads a store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sharedcli.ingest.document import Document
from sharedcli.retrieve.passages import cut_passages
from sharedcli.store import fulltext
from sharedcli.store.records import Passage, PassageHit
from sharedcli.store.schema import FULL_TEXT_TABLES

if TYPE_CHECKING:
    from sharedcli.retrieve.embedding import SentenceEncoder

Vectors = NDArray[np.float16]


class MemoryIndex:
    """Passages of some documents; ids are the documents' sources.

    Args:
        documents: with distinct sources.
        encoder: None for full text only.
    """

    def __init__(self, documents: Sequence[Document], encoder: SentenceEncoder | None) -> None:
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute("CREATE TABLE documents (key INTEGER PRIMARY KEY, id TEXT UNIQUE)")
        for statement in FULL_TEXT_TABLES:
            self._connection.execute(statement)
        self._passages: dict[str, list[Passage]] = {}
        self._vectors: dict[str, Vectors] = {}
        self._documents = {document.source: document for document in documents}
        for key, document in enumerate(documents, start=1):
            name, text = document.source, document.text
            self._connection.execute("INSERT INTO documents VALUES (?, ?)", (key, name))
            passages = self._passages[name] = cut_passages(document)
            fulltext.index_passages(self._connection, key, text, passages)
            texts = [text[passage.start : passage.end] for passage in passages]
            if encoder is not None and texts:
                self._vectors[name] = encoder.encode_passages(texts)

    def __del__(self) -> None:
        self._connection.close()

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        """Return the best passages for an FTS5 expression, best first."""
        return fulltext.search(self._connection, match, doc_ids, limit)

    def count_text(self, match: str) -> Mapping[str, int]:
        """Return how many passages match in each document that has any."""
        return fulltext.count(self._connection, match)

    def load_document(self, doc_id: str) -> Document:
        """Return a document with its text."""
        return self._documents[doc_id]

    def read_passages(
        self, doc_ids: Iterable[str]
    ) -> Iterator[tuple[str, Sequence[Passage], Vectors]]:
        """Yield (id, passages, window vectors [P, W * E]); [P, 0] without an encoder."""
        for name in doc_ids:
            passages = self._passages[name]
            bare = np.zeros((len(passages), 0), np.float16)
            yield name, passages, self._vectors.get(name, bare)
