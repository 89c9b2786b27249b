"""Marked answers made sentences."""

from __future__ import annotations

import pytest

from sharedcli.training.sentences import MOST_WORDS, sentence_at, turned_round

TEXT = (
    "The hut was built in 1911. Dr. J. Weiss of the U.S. Survey, who came in May,\tmeasured 3.5 m "
    'of snow. "Nobody had seen so much!" It melted.\nDepth 3.5 4.1\nThe end of it all'
)


def _at(answer: str, text: str = TEXT) -> str | None:
    start = text.index(answer)
    return sentence_at(text, start, start + len(answer))


def test_the_sentence_around_an_answer_is_found_past_abbreviations_and_numbers() -> None:
    assert _at("1911") == "The hut was built in 1911."
    weiss = "Dr. J. Weiss of the U.S. Survey, who came in May, measured 3.5 m of snow."
    assert _at("3.5 m") == _at("Weiss") == _at("snow.") == weiss
    assert _at("Nobody") == '"Nobody had seen so much!"'


@pytest.mark.parametrize("answer", ["1911. Dr. J.", "melted", "Depth 3.5", "end of it"])
def test_what_is_no_sentence_is_none(answer: str) -> None:
    """Across two, too short, a row of a table, a heading."""
    assert _at(answer) is None


def test_too_long_a_sentence_is_none() -> None:
    fits = " ".join(["Snow", *["fell"] * (MOST_WORDS - 2), "twice."])
    assert _at("twice", fits) == fits
    assert _at("twice", f"Then {fits[0].lower()}{fits[1:]}") is None


def test_questions_for_what_something_is_are_turned_round() -> None:
    asked = "What  was the amount of\n other deposits  in 2018?"
    assert turned_round(asked, "5,687") == "The amount of other deposits in 2018 was 5,687."
    assert turned_round("How much are its assets", "$3.") == "Its assets are $3."


@pytest.mark.parametrize(
    "question", ["When was the hut built?", "What did it cost?", "What is snow?", "Which is the?"]
)
def test_other_questions_are_not(question: str) -> None:
    assert turned_round(question, "1911") is None


def test_an_empty_answer_makes_no_statement() -> None:
    assert turned_round("What is the depth?", " . ") is None
