"""Read the store's two indexes for a question and return ranked passages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sharedcli.retrieve.late import PassageEncoder, Texts, late_cosines
from sharedcli.retrieve.lexical import capitalised_terms, match_expression, query_terms
from sharedcli.retrieve.naming import CLEAR, MAX_WORDS, naming_strengths
from sharedcli.retrieve.rank import CANDIDATES, RankedPassage, Scores, fuse, window_cosines
from sharedcli.store.fulltext import quote_term
from sharedcli.store.records import Passage, PassageHit


class PassageIndex(Texts, Protocol):
    """What is read of a store."""

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        """Return the best passages for an FTS5 expression, best first."""
        ...

    def count_text(self, match: str) -> Mapping[str, int]:
        """Return how many passages match in each document that has any."""
        ...

    def read_passages(
        self, doc_ids: Iterable[str]
    ) -> Iterator[tuple[str, Sequence[Passage], NDArray[np.float16]]]:
        """Yield (id, passages, window vectors) of documents, one at a time.

        Vectors are [P, W * E]; [P, 0] of a document that was indexed without an encoder.
        """
        ...


class QueryEncoder(PassageEncoder, Protocol):
    """What is needed of a sentence encoder."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Return one unit vector per text, shape [N, E]."""
        ...


@dataclass(frozen=True)
class Found:
    """Passages that may answer a question, best first, of how many that were searched."""

    ranked: list[RankedPassage]
    searched: int


def find_passages(
    index: PassageIndex,
    question: str,
    doc_ids: Sequence[str],
    encoder: QueryEncoder | None,
    limit: int = CANDIDATES,
) -> Found:
    """Return the passages of the documents that may answer ``question``.

    What the store holds of a document is read once, and of its vectors only cosines are kept.

    Args:
        index: the store.
        question: as typed.
        doc_ids: documents to search.
        encoder: None ranks by full text alone.
        limit: passages wanted at most.
    """
    match = match_expression(question)
    hits = index.search_text(match, doc_ids, CANDIDATES) if match else []
    query = encoder.encode([question])[0] if encoder is not None and question.strip() else None
    passages: dict[str, Sequence[Passage]] = {}
    cosines: dict[str, Scores] = {}
    for doc_id, found, stored in index.read_passages(doc_ids):
        passages[doc_id] = found
        # another encoder's vectors have another length
        if query is not None and stored.size and stored.shape[1] % len(query) == 0:
            cosines[doc_id] = window_cosines(query, stored)
    if encoder is not None and query is not None:
        bare = {doc_id: found for doc_id, found in passages.items() if doc_id not in cosines}
        cosines |= late_cosines(index, query, hits, bare, encoder)
    naming = _naming(index, question, passages) if len(doc_ids) > 1 else {}
    ranked = fuse(hits, cosines, passages, limit, naming)
    return Found(ranked, sum(map(len, passages.values())))


def _naming(
    index: PassageIndex, question: str, passages: Mapping[str, Sequence[Passage]]
) -> dict[str, float]:
    sizes = {doc_id: len(found) for doc_id, found in passages.items()}
    strengths: dict[str, float] = {}
    for words in (capitalised_terms(question), query_terms(question)):
        counts = [index.count_text(quote_term(word)) for word in words[:MAX_WORDS]]
        strengths = naming_strengths(counts, sizes)
        if max(strengths.values(), default=0.0) >= CLEAR:
            break
    return strengths
