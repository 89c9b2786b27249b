"""Vectors of the passages that a question needs, made when it comes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sharedcli.ingest.document import Document
from sharedcli.retrieve.late import LATE, SPREAD, late_cosines
from sharedcli.retrieve.rank import ABSENT, fuse
from sharedcli.store.records import Passage, PassageHit

QUERY = np.array([1.0, 0.0])


class Index:
    """Documents of passages of four characters, numbered over all of them."""

    def __init__(self, **counts: int) -> None:
        self.first = {}
        self.counts = counts
        begun = 0
        for name, count in counts.items():
            self.first[name] = begun
            begun += count

    def passages(self, *doc_ids: str) -> dict[str, list[Passage]]:
        return {
            doc_id: [Passage(at, 1, 4 * at, 4 * at + 4) for at in range(self.counts[doc_id])]
            for doc_id in doc_ids
        }

    def load_document(self, doc_id: str) -> Document:
        first = self.first[doc_id]
        text = "".join(f"{first + at:04}" for at in range(self.counts[doc_id]))
        return Document(doc_id, doc_id, "text/plain", "0" * 64, text, ())


class Encoder:
    """Two windows a passage; the first one's cosine is the passage's number in thousandths."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        self.read += texts
        return np.array([[int(text) / 1000, 0.5, 0, 0] for text in texts], dtype=np.float16)


def hits(doc_id: str, *ordinals: int) -> list[PassageHit]:
    return [PassageHit(doc_id, at, 9.0 - place / 100) for place, at in enumerate(ordinals)]


def test_only_the_best_of_full_text_are_embedded() -> None:
    encoder = Encoder()
    index = Index(a=500)
    found = late_cosines(index, QUERY, hits("a", *range(400, 480)), index.passages("a"), encoder)
    assert encoder.read == [f"{at:04}" for at in range(400, 400 + LATE)]
    assert found["a"].shape == (500, 2)
    assert np.flatnonzero(found["a"][:, 0] != ABSENT).tolist() == list(range(400, 400 + LATE))
    assert found["a"][400, 0] == pytest.approx(0.4, abs=1e-3)
    assert (found["a"][:, 1] == ABSENT).all()  # no such window


def test_hits_of_documents_with_vectors_take_no_room() -> None:
    encoder = Encoder()
    mixed = [*hits("b", *range(LATE)), *hits("a", *range(LATE))]
    index = Index(a=100, b=100)
    found = late_cosines(index, QUERY, mixed, index.passages("a"), encoder)
    assert found.keys() == {"a"}
    assert len(encoder.read) == LATE


def test_few_hits_are_joined_by_passages_from_everywhere() -> None:
    encoder = Encoder()
    index = Index(a=300, b=20)
    found = late_cosines(index, QUERY, hits("a", 7), index.passages("a", "b"), encoder)
    assert encoder.read[0] == "0007"
    assert len(encoder.read) == len(set(encoder.read)) == SPREAD
    numbers = sorted(map(int, encoder.read[1:]))
    assert numbers[0] < 320 / SPREAD
    assert numbers[-1] >= 300  # in the last document
    assert max(np.diff(numbers)) <= 2 * 320 / SPREAD
    assert found.keys() == {"a", "b"}


def test_a_short_document_is_embedded_whole() -> None:
    encoder = Encoder()
    index = Index(a=5)
    found = late_cosines(index, QUERY, hits("a", 3), index.passages("a"), encoder)
    assert sorted(encoder.read) == [f"{at:04}" for at in range(5)]
    assert (found["a"][:, 0] != ABSENT).all()


@pytest.mark.parametrize("names", [[], ["empty"]])
def test_nothing_to_embed(names: list[str]) -> None:
    encoder = Encoder()
    index = Index(empty=0)
    assert late_cosines(index, QUERY, [], index.passages(*names), encoder) == {}
    assert encoder.read == []


def test_what_was_not_embedded_is_ranked_by_its_text() -> None:
    index = Index(a=100)
    found = hits("a", *range(40, 90))
    cosines = late_cosines(index, QUERY, found, index.passages("a"), Encoder())
    ranked = fuse(found, cosines, index.passages("a"), 100)
    assert {hit.passage.ordinal for hit in ranked} == set(range(40, 90))  # and nothing else
    known = {hit.passage.ordinal: hit.cosine for hit in ranked}
    assert known[40] == pytest.approx(0.04, abs=1e-3)
    assert known[89] is None
    assert next(hit for hit in ranked if hit.passage.ordinal == 89).windows == ()
