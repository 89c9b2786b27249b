from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.retrieve.naming import naming_strengths

SIZES = {"verizon": 100, "pepsi": 200, "note": 10}


def test_a_word_all_over_one_document_names_it() -> None:
    strengths = naming_strengths([{"verizon": 60}, {"verizon": 9, "pepsi": 20, "note": 1}], SIZES)
    assert strengths["verizon"] == 1
    assert strengths["note"] == strengths["verizon"] - 1 == 0


def test_a_rare_word_names_hardly_anything() -> None:
    strengths = naming_strengths([{"pepsi": 4}], SIZES)
    assert strengths["pepsi"] == pytest.approx(0.02 / 0.2)


def test_other_documents_that_use_the_word_weaken_it() -> None:
    strengths = naming_strengths([{"verizon": 60, "pepsi": 60}], SIZES)
    assert strengths["verizon"] == pytest.approx(0.5)
    assert strengths["pepsi"] == 0


def test_words_that_all_documents_share_name_none() -> None:
    assert set(naming_strengths([{"verizon": 50, "pepsi": 100}], SIZES).values()) == {0}
    assert set(naming_strengths([{}], SIZES).values()) == {0}


def test_documents_that_are_not_searched_do_not_count() -> None:
    strengths = naming_strengths([{"verizon": 60, "elsewhere": 99}], SIZES)
    assert strengths == {"verizon": 1, "pepsi": 0, "note": 0}


@given(
    st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)), max_size=5),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)
def test_strengths_lie_between_0_and_1(counts: list[dict[str, int]], sizes: dict[str, int]) -> None:
    bounded = [{k: min(v, sizes.get(k, 0)) for k, v in word.items()} for word in counts]
    strengths = naming_strengths(bounded, sizes)
    assert strengths.keys() == sizes.keys()
    assert all(0 <= value <= 1 for value in strengths.values())
