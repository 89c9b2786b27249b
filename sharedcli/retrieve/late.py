"""Sentence vectors made when a question comes, for documents that were indexed without.

Embedding every passage of a long document takes most of the time until it can be searched, and a
question needs few of the vectors: those of passages that full text ranks high. Embedding only them
finds what embedding all finds (``docs/concepts/retrieval.md`` has the comparison).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sharedcli.ingest.document import Document
from sharedcli.retrieve.rank import ABSENT, Scores, window_cosines
from sharedcli.store.records import Passage, PassageHit

LATE = 16
"""Full-text hits that are embedded for a question at most, over all documents."""

SPREAD = 32
"""Passages that are embedded where full text finds fewer than ``LATE``."""

Place = tuple[str, int]
"""Document and ordinal of a passage."""


class Texts(Protocol):
    """What is read of a store."""

    def load_document(self, doc_id: str) -> Document:
        """Return a document with its text."""
        ...


class PassageEncoder(Protocol):
    """What is needed of a sentence encoder."""

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Return the window vectors of each passage, shape [P, W * E]."""
        ...


def late_cosines(
    index: Texts,
    query: NDArray[np.floating],
    hits: Sequence[PassageHit],
    passages: Mapping[str, Sequence[Passage]],
    encoder: PassageEncoder,
) -> dict[str, Scores]:
    """Return cosines of windows with the query, [P, W] per document of which any is embedded.

    Those of passages that ``late_places`` does not choose are ``ABSENT``.

    Args:
        index: the store.
        query: unit vector, shape [E].
        hits: of the full-text search, best first.
        passages: of the documents without vectors.
        encoder: embeds passages.
    """
    chosen = late_places(hits, passages)
    if not chosen:
        return {}
    vectors = encoder.encode_passages(_texts(index, passages, chosen))
    found: dict[str, Scores] = {}
    for (doc_id, ordinal), row in zip(chosen, window_cosines(query, vectors), strict=True):
        if doc_id not in found:
            shape = (len(passages[doc_id]), len(row))
            found[doc_id] = np.full(shape, ABSENT, np.float32)
        found[doc_id][ordinal] = row
    return found


def late_places(
    hits: Sequence[PassageHit], passages: Mapping[str, Sequence[Passage]], count: int = LATE
) -> list[Place]:
    """Which passages to embed: the best full-text hits, ``count`` at most.

    Where these are fewer, passages from all over the documents join them, ``SPREAD`` in all: a
    question may share no word with its answer.
    """
    found = ((one.doc_id, one.ordinal) for one in hits if one.doc_id in passages)
    chosen = list(islice(found, count))
    if len(chosen) < count:
        known = set(chosen)
        every = [(doc_id, at) for doc_id, rows in passages.items() for at in range(len(rows))]
        others = [place for place in every if place not in known]
        wanted = min(max(count, SPREAD) - len(chosen), len(others))
        chosen += [others[(2 * at + 1) * len(others) // (2 * wanted)] for at in range(wanted)]
    return chosen


def _texts(
    index: Texts, passages: Mapping[str, Sequence[Passage]], places: Collection[Place]
) -> list[str]:
    """The passages' texts, in the order of ``places``; one document is held at a time."""
    texts = {}
    for doc_id in dict.fromkeys(doc_id for doc_id, _ in places):
        text = index.load_document(doc_id).text
        for place in places:
            if place[0] == doc_id:
                passage = passages[doc_id][place[1]]
                texts[place] = text[passage.start : passage.end]
    return [texts[place] for place in places]
