from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharedcli.retrieve.rank import (
    ABSENT,
    COSINE_WEIGHT,
    WINDOW_MARGIN,
    RankedPassage,
    best_pages,
    fuse,
    scored_windows,
    window_cosines,
)
from sharedcli.store.records import Passage, PassageHit

PASSAGES = {
    "a": [Passage(i, i + 1, 10 * i, 10 * i + 9) for i in range(4)],
    "b": [Passage(i, 1, 10 * i, 10 * i + 9) for i in range(3)],
}


def cosines(*values: float) -> np.ndarray:
    """Of passages with one window each."""
    return np.array(values, dtype=np.float32)[:, None]


def test_windows_are_compared_and_missing_ones_lose() -> None:
    query = np.array([1.0, 0.0])
    vectors = np.array([[0.0, 1.0, 0.6, 0.8], [-1.0, 0.0, 0.0, 0.0], [0.0] * 4], dtype=np.float16)
    found = window_cosines(query, vectors)
    assert found == pytest.approx(np.array([[0.0, 0.6], [-1.0, -1.0], [-1.0, -1.0]]), abs=1e-3)
    (first,) = fuse([], {"a": found}, PASSAGES, 1)
    assert first.cosine == pytest.approx(0.6, abs=1e-3)
    assert first.windows == pytest.approx((0.0, 0.6), abs=1e-3)


def test_a_passages_windows_have_its_score_less_what_their_cosine_lacks() -> None:
    text = "x " * 80 + "Of the lamp. " * 30 + "Of the bell. " * 30 + "y " * 80
    passage = Passage(0, 1, 160, len(text) - 160)
    plain = RankedPassage("a", passage, 0.8)
    whole = (160 - WINDOW_MARGIN, len(text) - 160 + WINDOW_MARGIN)
    assert scored_windows(plain, text) == [(*whole, 0.8)]
    (first, second, third) = scored_windows(replace(plain, windows=(0.1, 0.6, 0.5)), text)
    weight = COSINE_WEIGHT / (1 + COSINE_WEIGHT)
    assert (first[2], second[2]) == (pytest.approx(0.8 - weight * 0.5), 0.8)
    assert third[2] == pytest.approx(0.8 - weight * 0.1)
    assert (first[0], third[1]) == (whole[0], pytest.approx(whole[1], abs=1))
    # each reaches into the next, so that a sentence that a cut divides is opened whole
    assert first[1] - second[0] == pytest.approx(2 * WINDOW_MARGIN, abs=2)
    assert second[1] - third[0] == pytest.approx(2 * WINDOW_MARGIN, abs=2)
    short = scored_windows(RankedPassage("a", Passage(0, 1, 2, 9), 0.8), "of a bell.")
    assert short == [(0, 10, 0.8)]
    low = RankedPassage("a", passage, 0.1, windows=(0.9, -1.0, -1.0))
    assert [score for _, _, score in scored_windows(low, text)] == [0.1, 0.0, 0.0]


def test_vectors_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="width 6"):
        window_cosines(np.ones(4), np.ones((2, 6)))


def test_no_passages_have_no_cosines() -> None:
    assert window_cosines(np.ones(4), np.ones((0, 8))).shape == (0, 2)


def test_scores_mix_both_rankings_and_say_where_they_come_from() -> None:
    hits = [PassageHit("a", 2, 8.0), PassageHit("a", 0, 4.0)]
    ranked = fuse(hits, {"a": cosines(0.9, 0.1, 0.2, 0.4)}, PASSAGES, 10)
    assert [hit.passage.ordinal for hit in ranked] == [0, 2, 3, 1]
    first = ranked[0]
    assert first.score == pytest.approx((0.5 + COSINE_WEIGHT * 0.9) / (1 + COSINE_WEIGHT))
    assert (first.bm25, first.lexical_rank, first.dense_rank) == (4.0, 2, 1)
    assert first.cosine == pytest.approx(0.9)
    last = ranked[-1]
    assert (last.bm25, last.lexical_rank, last.dense_rank) == (None, None, 4)
    assert all(0 <= hit.score <= 1 for hit in ranked)


def test_without_vectors_full_text_decides() -> None:
    hits = [PassageHit("b", 1, 2.0), PassageHit("a", 3, 1.0)]
    ranked = fuse(hits, {}, PASSAGES, 10)
    assert [(hit.doc_id, hit.score, hit.cosine) for hit in ranked] == [
        ("b", 1, None),
        ("a", 0.5, None),
    ]


def test_without_hits_vectors_decide() -> None:
    ranked = fuse([], {"b": cosines(0.1, 0.7, -0.3)}, PASSAGES, 2)
    assert [hit.passage.ordinal for hit in ranked] == [1, 0]


def test_a_document_without_vectors_is_not_buried() -> None:
    hits = [PassageHit("a", 0, 9.0), PassageHit("b", 0, 5.0)]
    ranked = fuse(hits, {"b": cosines(0.6, 0.5, 0.1)}, PASSAGES, 10)
    assert ranked[0].doc_id == "a"
    assert ranked[0].cosine is None


def test_nothing_found_is_an_empty_list() -> None:
    assert fuse([], {}, {}, 10) == []
    assert fuse([], {"a": cosines()}, {"a": []}, 10) == []


def test_equal_scores_come_in_reading_order() -> None:
    ranked = fuse([], {"b": cosines(0.5, 0.5, 0.5), "a": cosines(0.5, 0.5, 0.5, 0.5)}, PASSAGES, 9)
    places = [(hit.doc_id, hit.passage.ordinal) for hit in ranked]
    assert places == sorted(places)


def test_pages_are_counted_once() -> None:
    ranked = fuse([], {"b": cosines(0.5, 0.4, 0.3), "a": cosines(0.45, 0.1, 0.1, 0.1)}, PASSAGES, 9)
    assert best_pages(ranked, 2) == [("b", 1), ("a", 1)]


def test_a_cosine_below_zero_takes_nothing_from_a_score() -> None:
    ranked = fuse([PassageHit("b", 0, 2.0)], {"b": cosines(-0.3, 0.2, -0.9)}, PASSAGES, 9)
    assert {hit.passage.ordinal: hit.score for hit in ranked} == {
        0: pytest.approx(1 / (1 + COSINE_WEIGHT)),
        1: pytest.approx(0.2 * COSINE_WEIGHT / (1 + COSINE_WEIGHT)),
        2: 0.0,
    }


def test_passages_that_were_not_embedded_do_not_lower_the_typical_cosine() -> None:
    hits = [PassageHit("a", 0, 9.0), PassageHit("b", 0, 5.0), PassageHit("b", 1, 4.0)]
    ranked = fuse(hits, {"b": cosines(0.6, ABSENT, ABSENT)}, PASSAGES, 9)
    known, unknown = (1 + COSINE_WEIGHT * 0.6), (4 / 9 + COSINE_WEIGHT * 0.6)
    scores = {(hit.doc_id, hit.passage.ordinal): hit.score for hit in ranked}
    assert scores["a", 0] == pytest.approx(known / (1 + COSINE_WEIGHT))
    assert scores["b", 1] == pytest.approx(unknown / (1 + COSINE_WEIGHT))
    assert ("b", 2) not in scores
