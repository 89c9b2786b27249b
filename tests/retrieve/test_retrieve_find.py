from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from sharedcli.ingest.document import Document, Page
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.passages import cut_passages
from sharedcli.retrieve.rank import CANDIDATES, NAMING_WEIGHT
from sharedcli.store.fulltext import index_passages
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.records import Passage, PassageHit
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.store import Store
from sharedcli.tree.geometry import TreeGeometry

TEXTS = {
    "ships": ["The harbour closes at nine.", "Pilots board tankers near the lighthouse."],
    "taxes": ["The effective tax rate was 23 percent.", "Dividends were paid in March."],
}


class Index:
    """Passages of a few pages, searched with FTS5 as the store does it."""

    def __init__(self, vectors: dict[str, np.ndarray] | None = None) -> None:
        import sqlite3

        self.connection = sqlite3.connect(":memory:")
        self.connection.execute("CREATE VIRTUAL TABLE passage_text USING fts5(text)")
        self.keys = dict(enumerate(TEXTS, start=1))
        self.cut: dict[str, list[Passage]] = {}
        for key, doc_id in self.keys.items():
            text, pages = "", []
            for number, page in enumerate(TEXTS[doc_id], start=1):
                pages.append(Page(number, None, len(text), len(text) + len(page)))
                text += page
            document = Document("x", "x", "text/plain", "0" * 64, text, tuple(pages))
            self.cut[doc_id] = cut_passages(document)
            index_passages(self.connection, key, text, self.cut[doc_id])
        self.vectors = vectors or {}
        self.reads = 0

    def search_text(
        self, match: str, doc_ids: Sequence[str] | None = None, limit: int = 20
    ) -> list[PassageHit]:
        rows = self.connection.execute(
            "SELECT rowid, -bm25(passage_text) FROM passage_text WHERE passage_text MATCH ? "
            "ORDER BY 2 DESC LIMIT ?",
            (match, limit),
        )
        hits = [PassageHit(self.keys[row >> 20], row & 0xFFFFF, score) for row, score in rows]
        return [hit for hit in hits if doc_ids is None or hit.doc_id in doc_ids]

    def count_text(self, match: str) -> dict[str, int]:
        return dict(Counter(hit.doc_id for hit in self.search_text(match, limit=1000)))

    def load_document(self, doc_id: str) -> Document:
        text = "".join(TEXTS[doc_id])
        return Document("x", "x", "text/plain", "0" * 64, text, ())

    def read_passages(
        self, doc_ids: Iterable[str]
    ) -> Iterator[tuple[str, Sequence[Passage], np.ndarray]]:
        self.reads += 1
        empty = np.zeros((2, 0), dtype=np.float16)
        for doc_id in doc_ids:
            yield doc_id, self.cut[doc_id], self.vectors.get(doc_id, empty)


class Encoder:
    """Points every question in the first direction."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float16)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """One window each, the nearer to all questions the longer the text is."""
        cosines = [min(1.0, len(text) / 50) for text in texts]
        return np.array([[c, (1 - c * c) ** 0.5, 0, 0] for c in cosines], dtype=np.float16)


def test_full_text_alone_finds_the_page() -> None:
    ranked = find_passages(Index(), "What is the effective tax rate?", list(TEXTS), None).ranked
    assert [(hit.doc_id, hit.passage.page) for hit in ranked] == [("taxes", 1)]
    assert ranked[0].cosine is None


def test_vectors_find_what_shares_no_word() -> None:
    vectors = {"ships": np.array([[0, 1, 0, 0], [0.1, 0.9, 0.9, 0.1]], dtype=np.float16)}
    ranked = find_passages(Index(vectors), "maritime guidance", ["ships"], Encoder()).ranked
    assert [hit.passage.page for hit in ranked] == [2, 1]
    assert ranked[0].cosine == pytest.approx(0.9, abs=1e-3)


def test_over_several_documents_the_one_that_is_named_comes_first() -> None:
    same = np.array([[0.6, 0.8, 0, 0], [0.6, 0.8, 0, 0]], dtype=np.float16)
    index = Index({"ships": same, "taxes": same})
    ranked = find_passages(index, "Which dividends are named?", list(TEXTS), Encoder()).ranked
    assert [hit.doc_id for hit in ranked] == ["taxes", "taxes", "ships", "ships"]
    alone = find_passages(index, "Which dividends are named?", ["taxes"], Encoder()).ranked
    assert alone[0].score == pytest.approx(ranked[0].score - NAMING_WEIGHT)


def test_a_word_with_a_capital_names_a_document_and_others_do_not_then() -> None:
    same = np.array([[0.6, 0.8, 0, 0], [0.6, 0.8, 0, 0]], dtype=np.float16)
    index = Index({"ships": same, "taxes": same})

    def best(question: str) -> dict[str, float]:
        ranked = find_passages(index, question, list(TEXTS), Encoder()).ranked
        return {hit.doc_id: hit.score for hit in reversed(ranked)}

    name, none = best("Do Pilots pay dividends?"), best("do pilots pay dividends?")
    assert name["ships"] == pytest.approx(none["ships"])
    assert name["taxes"] == pytest.approx(none["taxes"] - NAMING_WEIGHT)


def test_only_the_chosen_documents_are_searched() -> None:
    assert find_passages(Index(), "effective tax rate", ["ships"], None).ranked == []


@pytest.mark.parametrize("question", ["", "   ", "?!", '"'])
def test_a_question_without_words_finds_nothing(question: str) -> None:
    assert find_passages(Index(), question, list(TEXTS), None).ranked == []


def test_vectors_that_are_missing_are_made_when_a_question_comes() -> None:
    ranked = find_passages(Index(), "maritime guidance", ["ships"], Encoder()).ranked
    assert [hit.passage.page for hit in ranked] == [2, 1]
    assert ranked[0].cosine == pytest.approx(len(TEXTS["ships"][1]) / 50, abs=1e-2)
    assert len(ranked[0].windows) == 2


def test_vectors_of_another_width_count_as_missing() -> None:
    """An imported tree may hold any."""
    odd = np.ones((2, 5), dtype=np.float16)
    ranked = find_passages(Index({"ships": odd}), "maritime guidance", ["ships"], Encoder()).ranked
    assert ranked == find_passages(Index(), "maritime guidance", ["ships"], Encoder()).ranked


def test_documents_with_and_without_vectors_are_compared() -> None:
    index = Index({"ships": np.array([[0, 1, 0, 0], [0.1, 0.9, 0.2, 0.9]], dtype=np.float16)})
    ranked = find_passages(index, "lighthouse", list(TEXTS), Encoder()).ranked
    assert {hit.doc_id for hit in ranked} == set(TEXTS)
    assert all(hit.cosine is not None for hit in ranked)


def test_a_real_store_is_searched(tmp_path: Path) -> None:
    text = "".join(TEXTS["taxes"])
    edge = len(TEXTS["taxes"][0])
    pages = (Page(1, None, 0, edge), Page(2, None, edge, len(text)))
    document = Document("t.txt", "t", "text/plain", "0" * 64, text, pages)
    geometry = TreeGeometry(chunk_tokens=8, depth=1, slots_per_node=4)
    identity = TreeIdentity(
        "acme/base", "w", "t", "float32", 1, geometry.to_dict(), "bfloat16", "chunk_only"
    )
    tokens = ChunkTokens(0, np.array([7], np.int32), np.array([[0, len(text)]], np.int32))
    slots = {"level1.keys": torch.zeros(1, 1, 1, 4), "level1.values": torch.zeros(1, 1, 1, 4)}
    vectors = np.array([[0.2, 0.9, 0, 0], [0, 1, 0.8, 0.6]], dtype=np.float16)
    with Store.open(tmp_path / "store", create=True) as store:
        with store.writer(document, identity, file_size=1, mtime_ns=1) as writer:
            writer.put_passages(cut_passages(document), vectors)
            writer.put_chunk(0, tokens, slots)
            record = writer.commit()
        by_both = find_passages(store, "Were dividends paid?", [record.id], Encoder()).ranked
        by_text = find_passages(store, "Were dividends paid?", [record.id], None).ranked
        nothing = find_passages(store, "Were dividends paid?", [], Encoder()).ranked
    assert [hit.passage.page for hit in by_both] == [2, 1]
    assert by_both[0].cosine == pytest.approx(0.8, abs=1e-3)
    assert (by_both[0].lexical_rank, by_both[0].dense_rank) == (1, 1)
    assert [hit.passage.page for hit in by_text] == [2]
    assert nothing == []


def test_as_many_hits_of_full_text_are_read_as_are_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    search = Index.search_text

    def noted(
        index: Index, match: str, doc_ids: Sequence[str], limit: int = 20
    ) -> list[PassageHit]:
        limits.append(limit)
        return search(index, match, doc_ids, limit)

    monkeypatch.setattr(Index, "search_text", noted)
    find_passages(Index(), "effective tax rate", ["taxes"], None)
    assert limits == [CANDIDATES]


def test_the_store_is_read_once_and_what_was_searched_is_counted() -> None:
    index = Index()
    found = find_passages(index, "Which dividends are named?", list(TEXTS), Encoder())
    assert found.searched == 4
    assert index.reads == 1
    assert find_passages(index, "?", ["ships"], None).searched == 2
