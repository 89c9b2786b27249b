"""Fuse full-text and vector ranking into one list of passages.

Notable choices:
- The score is ``bm25 / best bm25 + 1.5 * cosine``, divided by 2.5 so that it lies between 0 and 1.
  A mix of scores keeps how far ahead the first passage is, which a fusion of ranks throws away;
  ``docs/concepts/retrieval.md`` has the comparison.
- A passage's cosine is that of its best window: what answers a question is rarely 180 words long.
- Over several documents, passages of one that the question names gain up to 0.2 (``naming``).
- Each passage keeps its own two scores and ranks, so that a citation can say why it is there.

Shapes: E vector size, W windows per passage, P passages of a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sharedcli.retrieve.passages import cut_windows
from sharedcli.store.records import Passage, PassageHit

COSINE_WEIGHT = 1.5
"""Weight of the cosine against the normalised BM25, whose weight is 1."""

NAMING_WEIGHT = 0.2
"""Added to the score of passages whose document the question clearly names."""

WINDOW_MARGIN = 100
"""Characters before and after a window that are opened with it: what answers may straddle a cut."""

ABSENT = -1.0
"""In place of the cosine of a window that is not there, or has no vector."""

CANDIDATES = 200
"""Best passages of either ranking that are fused."""

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class RankedPassage:
    """A passage with what speaks for it.

    Attributes:
        doc_id: the document it is in.
        passage: ordinal, page and character span.
        score: fused, from 0 to 1, or to 1.2 in a document that the question names; comparable
            within one question only.
        bm25: of the full-text search; None if the passage was not among its candidates.
        cosine: between -1 and 1, of the best window; None if the passage has no vectors.
        windows: of each of its windows, in reading order; empty if it has no vectors.
        lexical_rank, dense_rank: counted from 1; None where there is no such score.
    """

    doc_id: str
    passage: Passage
    score: float
    bm25: float | None = None
    cosine: float | None = None
    windows: tuple[float, ...] = ()
    lexical_rank: int | None = None
    dense_rank: int | None = None


def window_cosines(query: NDArray[np.floating], vectors: NDArray[np.floating]) -> Scores:
    """Return the cosine of each passage's windows with the query, ``ABSENT`` where there is none.

    Args:
        query: unit vector, shape [E].
        vectors: unit vectors side by side, zeros where there is no window, shape [P, W * E].

    Returns:
        float32 of shape [P, W].

    Raises:
        ValueError: the width of ``vectors`` is not a multiple of E.
    """
    passages, width = vectors.shape
    if width % len(query):
        raise ValueError(f"vectors of width {width} do not hold windows of {len(query)} numbers")
    windows = vectors.reshape(passages, width // len(query), len(query)).astype(np.float32)
    cosines: Scores = windows @ query.astype(np.float32)
    cosines[~windows.any(axis=-1)] = ABSENT  # an absent window must not beat a dissimilar one
    return cosines


def scored_windows(hit: RankedPassage, text: str) -> list[tuple[int, int, float]]:
    """Return (start, end, score) of a ranked passage's windows in the document's ``text``.

    Its best window has the passage's score, the others as much less as their cosine is lower. A
    passage without vectors is one window. Each reaches ``WINDOW_MARGIN`` into its neighbours.
    """
    start, end = hit.passage.start, hit.passage.end
    weight = COSINE_WEIGHT / (1 + COSINE_WEIGHT)
    windows = cut_windows(text[start:end]) if hit.windows else []
    spans = [(start + first, start + last) for first, last in windows] or [(start, end)]
    below = [weight * (max(hit.windows) - cosine) for cosine in hit.windows] or [0.0]
    return [
        (
            max(0, first - WINDOW_MARGIN),
            min(len(text), last + WINDOW_MARGIN),
            max(0.0, hit.score - less),
        )
        for (first, last), less in zip(spans, below, strict=False)
    ]


def fuse(
    hits: Sequence[PassageHit],
    cosines: Mapping[str, Scores],
    passages: Mapping[str, Sequence[Passage]],
    limit: int,
    naming: Mapping[str, float] | None = None,
) -> list[RankedPassage]:
    """Return the ``limit`` best passages, best first; equal scores in reading order.

    Args:
        hits: of the full-text search, best first.
        cosines: per document with vectors, the cosines of each passage's windows, [P, W]; a
            passage may have none (``ABSENT``).
        passages: of every document that ``hits`` or ``cosines`` name.
        limit: passages wanted at most.
        naming: per document, how clearly the question names it; see ``naming``.
    """
    windows, cosines = (
        cosines,
        {name: found.max(axis=1, initial=ABSENT) for name, found in cosines.items()},
    )
    bm25 = {(hit.doc_id, hit.ordinal): hit.bm25 for hit in hits}
    lexical_ranks = {place: rank for rank, place in enumerate(bm25, start=1)}
    dense_ranks = _dense_ranks(cosines)
    best = max(bm25.values(), default=0.0)
    unknown = _typical_cosine(bm25, cosines)
    ranked = []
    for doc_id, ordinal in {**bm25, **dict.fromkeys(dense_ranks)}:
        place = (doc_id, ordinal)
        cosine = float(cosines[doc_id][ordinal]) if doc_id in cosines else ABSENT
        known = cosine != ABSENT
        lexical = bm25.get(place, 0.0) / best if best > 0 else 0.0
        mixed = lexical + COSINE_WEIGHT * max(0.0, cosine if known else unknown)
        ranked.append(
            RankedPassage(
                doc_id=doc_id,
                passage=passages[doc_id][ordinal],
                score=(mixed / (1 + COSINE_WEIGHT) if cosines else lexical)
                + NAMING_WEIGHT * (naming or {}).get(doc_id, 0.0),
                bm25=bm25.get(place),
                cosine=cosine if known else None,
                windows=tuple(windows[doc_id][ordinal].tolist()) if known else (),
                lexical_rank=lexical_ranks.get(place),
                dense_rank=dense_ranks.get(place),
            )
        )
    ranked.sort(key=lambda hit: (-hit.score, hit.doc_id, hit.passage.ordinal))
    return ranked[:limit]


def best_pages(ranked: Sequence[RankedPassage], limit: int) -> list[tuple[str, int]]:
    """Return the first ``limit`` distinct pages, as (document, page number), best first."""
    pages = dict.fromkeys((hit.doc_id, hit.passage.page) for hit in ranked)
    return list(pages)[:limit]


def _dense_ranks(cosines: Mapping[str, Scores]) -> dict[tuple[str, int], int]:
    """The ``CANDIDATES`` passages with the largest cosines over all documents, with their ranks."""
    places = [
        (doc_id, ordinal) for doc_id, found in cosines.items() for ordinal in range(len(found))
    ]
    if not places:
        return {}
    every = np.concatenate(list(cosines.values()))
    order = [at for at in np.argsort(-every, kind="stable")[:CANDIDATES] if every[at] != ABSENT]
    return {places[at]: rank for rank, at in enumerate(order, start=1)}


def _typical_cosine(bm25: Mapping[tuple[str, int], float], cosines: Mapping[str, Scores]) -> float:
    """Mean cosine of the full-text hits that have vectors.

    It stands in for the cosine of passages without vectors, so that a document indexed without the
    encoder is neither preferred nor buried.
    """
    found = [float(cosines[doc_id][at]) for doc_id, at in bm25 if doc_id in cosines]
    known = [cosine for cosine in found if cosine != ABSENT]
    return sum(known) / len(known) if known else 0.0
