"""What a stored document holds: text, chunks, slots, passages, and the words to search for.

The part of ``Store`` that reads documents; it takes no lock and changes nothing. torch, and what
needs it, is imported by the methods that give tensors, so that listing a library stays quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sharedcli.ingest.document import Document
from sharedcli.store import fulltext, rows
from sharedcli.store.catalogue import Catalogue
from sharedcli.store.records import ChunkSpan, Passage, PassageHit

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from sharedcli.store.spans import ChunkTokens


class Contents:
    """Documents from the inside, by whole id. ``Store`` is one."""

    _catalogue: Catalogue

    def load_document(self, doc_id: str) -> Document:
        """Return the document as it was read: text, pages, title, warnings."""
        with self._catalogue.reading() as connection:
            entry = rows.entry(connection, doc_id)
            text, pages = rows.text(connection, entry)
        record = entry.record
        assert record is not None
        return Document(
            source=record.source,
            title=record.title,
            media_type=record.media_type,
            sha256=record.document_sha256,
            text=text,
            pages=pages,
            paged=record.paged,
            warnings=record.warnings,
        )

    def chunks(self, doc_id: str) -> list[ChunkSpan]:
        """Return the spans of all chunks."""
        with self._catalogue.reading() as connection:
            entry = rows.entry(connection, doc_id)
            return [row.span for row in rows.chunks(connection, entry)]

    def chunk_tokens(self, doc_id: str, index: int) -> ChunkTokens:
        """Return a chunk's token ids and their characters. ``IndexError`` for no such chunk."""
        from sharedcli.store.spans import ChunkTokens

        with self._catalogue.reading() as connection:
            row = rows.chunk(connection, rows.entry(connection, doc_id), index)
        return ChunkTokens.unpack(row.span.token_start, row.tokens)

    def read_chunk(
        self,
        doc_id: str,
        index: int,
        names: Iterable[str] | None = None,
        dtype: torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """Read tensors of one chunk; no other bytes of the blob are touched.

        Args:
            doc_id: whole id.
            index: chunk number.
            names: such as "level3.keys"; None for all.
            dtype: of the result; None keeps plain formats and turns int8 and int4 to float32.

        Returns:
            By name, keys and values each [M, K, S, D], on the CPU.

        Raises:
            KeyError, IndexError: no such tensor, no such chunk.
        """
        from sharedcli.store.reading import chunk_tensors

        return chunk_tensors(self._catalogue, doc_id, index, names, dtype)

    def read_summaries(self, doc_id: str) -> list[Tensor]:
        """Return each chunk's summaries, float16 [N nodes, E]. ``KeyError`` if it has none."""
        from sharedcli.store.reading import summaries

        return summaries(self._catalogue, doc_id)

    def read_passages(
        self, doc_ids: Iterable[str]
    ) -> Iterator[tuple[str, Sequence[Passage], NDArray[np.float16]]]:
        """Yield (id, passages, vectors) of documents; vectors are [P, V], or [P, 0] without any.

        One document is read at a time, in one view of the store.
        """
        from sharedcli.store.library import passages

        with self._catalogue.reading() as connection:
            for doc_id in doc_ids:
                yield doc_id, *passages(connection, rows.entry(connection, doc_id))

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        """Return the best passages for an FTS5 expression, best first.

        Text that a user typed must be quoted with ``fulltext.quote_term``.

        Raises:
            UsageError: ``match`` is not an FTS5 expression.
        """
        with self._catalogue.reading() as connection:
            return fulltext.search(connection, match, doc_ids, limit)

    def count_text(self, match: str) -> dict[str, int]:
        """Return how many passages match an FTS5 expression in each document that has any.

        Raises:
            UsageError: ``match`` is not an FTS5 expression.
        """
        with self._catalogue.reading() as connection:
            return fulltext.count(connection, match)
