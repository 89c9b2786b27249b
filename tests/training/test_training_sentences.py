"""Sentences around marked answers, and statements made of questions."""

from __future__ import annotations

import pytest

from sharedcli.training.sentences import MOST_WORDS, sentence_around, turned_round

TEXT = (
    "The hut was built in 1911. Dr. J. Weiss of the U.S. Survey, who came in May,\tmeasured 3.5 m "
    'of snow. "Nobody had seen so much!" It melted.\nDepth 3.5 4.1\nThe end of it all'
)
WEISS = "Dr. J. Weiss of the U.S. Survey, who came in May, measured 3.5 m of snow."


def _at(answer: str, text: str = TEXT) -> str | None:
    start = text.index(answer)
    return sentence_around(text, start, start + len(answer))


def test_the_sentence_and_the_one_before_it_are_found_past_abbreviations_and_numbers() -> None:
    assert _at("1911") == "The hut was built in 1911."
    assert _at("3.5 m") == _at("Weiss") == _at("snow.") == f"The hut was built in 1911. {WEISS}"
    assert _at("Nobody") == f'{WEISS} "Nobody had seen so much!"'
    assert _at("melted") == '"Nobody had seen so much!" It melted.'


@pytest.mark.parametrize("answer", ["1911. Dr. J.", "Depth 3.5", "end of it"])
def test_what_is_in_no_one_sentence_is_none(answer: str) -> None:
    """Across two, in a row of a table, in a heading."""
    assert _at(answer) is None


def test_too_long_a_sentence_is_none_and_too_long_a_one_before_it_left_out() -> None:
    long = " ".join(["Snow", *["fell"] * (MOST_WORDS - 1), "twice."])
    assert _at("twice", long) is None
    assert _at("later", f"{long} Rain fell later.") == "Rain fell later."


def test_questions_for_what_something_is_are_turned_round() -> None:
    asked = "What  was the amount of\n other deposits  in 2018?"
    assert turned_round(asked, "5,687") == "The amount of other deposits in 2018 was 5,687."
    assert turned_round("How much are its assets", "$3.") == "Its assets are $3."


@pytest.mark.parametrize(
    "question", ["When was the hut built?", "What did it cost?", "What is snow?", "Which is the?"]
)
def test_other_questions_are_not(question: str) -> None:
    assert turned_round(question, "1911") is None


@pytest.mark.parametrize("answer", [" . ", "much " * 13])
def test_an_answer_must_fit_a_statement(answer: str) -> None:
    assert turned_round("What is the depth?", answer) is None
