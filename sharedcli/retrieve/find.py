"""Read the store's two indexes for a question and return ranked passages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sharedcli.retrieve.late import LatePassages, PassageEncoder, late_cosines
from sharedcli.retrieve.lexical import capitalised_terms, match_expression, query_terms
from sharedcli.retrieve.naming import CLEAR, MAX_WORDS, naming_strengths
from sharedcli.retrieve.rank import CANDIDATES, RankedPassage, fuse, window_cosines
from sharedcli.store.fulltext import quote_term
from sharedcli.store.records import Passage, PassageHit


class PassageIndex(LatePassages, Protocol):
    """What is read of a store."""

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        """Return the best passages for an FTS5 expression, best first."""
        ...

    def count_text(self, match: str) -> Mapping[str, int]:
        """Return how many passages match in each document that has any."""
        ...

    def passage_vectors(self, doc_ids: Iterable[str]) -> Mapping[str, NDArray[np.float16]]:
        """Return window vectors per document, [P, W * E]; [P, 0] if indexed without an encoder."""
        ...


class QueryEncoder(PassageEncoder, Protocol):
    """What is needed of a sentence encoder."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Return one unit vector per text, shape [N, E]."""
        ...


def find_passages(
    index: PassageIndex,
    question: str,
    doc_ids: Sequence[str],
    encoder: QueryEncoder | None,
    limit: int = CANDIDATES,
) -> list[RankedPassage]:
    """Return the passages of the documents that may answer ``question``, best first.

    Args:
        index: the store.
        question: as typed.
        doc_ids: documents to search.
        encoder: None ranks by full text alone.
        limit: passages wanted at most.
    """
    match = match_expression(question)
    hits = index.search_text(match, doc_ids, CANDIDATES) if match else []
    cosines = {}
    if encoder is not None and question.strip():
        query = encoder.encode([question])[0]
        vectors = index.passage_vectors(doc_ids)
        for doc_id, stored in vectors.items():
            if stored.size and stored.shape[1] % len(query) == 0:  # or another encoder's
                cosines[doc_id] = window_cosines(query, stored)
        bare = [doc_id for doc_id in vectors if doc_id not in cosines]
        cosines |= late_cosines(index, query, hits, bare, encoder)
    several = len(doc_ids) > 1
    wanted = doc_ids if several else dict.fromkeys([hit.doc_id for hit in hits] + list(cosines))
    passages = {doc_id: index.passages(doc_id) for doc_id in wanted}
    naming = _naming(index, question, passages) if several else {}
    return fuse(hits, cosines, passages, limit, naming)


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
