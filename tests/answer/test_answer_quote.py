"""The quote of a citation: the part of its passage that bears on the question, word for word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sharedcli.answer.citations import QUOTE_CHARS, quote

_FILLER = "The hut has two bunks and a stove that smokes in the east wind. " * 8
_FACT = "The strongest gust came on the eleventh of January at 61.3 metres per second. "


def test_a_short_passage_is_quoted_whole_with_folded_blanks() -> None:
    assert quote("  The lamp\n is   lit. ", ["lamp"]) == "The lamp is lit."


def test_the_quote_holds_the_words_of_the_question() -> None:
    found = quote(_FILLER + _FACT + _FILLER, ["strongest", "gust", "measured"])
    assert found.startswith("The strongest gust came on the eleventh of January")
    assert found.endswith(" …")


def test_inflected_words_count() -> None:
    assert "strongest gust" in quote(_FILLER + _FACT + _FILLER, ["gusts"])


def test_without_words_it_is_the_beginning() -> None:
    assert quote(_FILLER, []).startswith("The hut has two bunks")


def test_a_fact_without_sentences_around_it_is_still_shown() -> None:
    table = "12 34 56 78 " * 60 + "Net sales 14,694 " + "90 12 34 56 " * 60
    found = quote(table, ["net", "sales"])
    assert found.startswith("… ")
    assert "Net sales 14,694" in found


def test_words_without_blanks_between_them_are_found_too() -> None:
    filler = "小屋有两张床和一个炉子，东风起时会冒烟。" * 30
    found = quote(f"{filler}灯的油量为四升。{filler}", ["油量", "炉火"])
    assert found.startswith("灯的油量为四升。小屋")
    table = "十二" * 200 + "油量四升" + "三四" * 200
    assert "油量四升" in quote(table, ["油量"])


@given(
    st.text("ab. \n", max_size=900),
    st.lists(st.text("ab", min_size=1, max_size=5), max_size=4),
)
def test_quotes_stand_in_the_passage_word_for_word(text: str, terms: list[str]) -> None:
    found = quote(text, terms)
    folded = " ".join(text.split())
    body = found.removeprefix("… ").removesuffix(" …")
    assert body in folded
    assert len(body) <= QUOTE_CHARS
