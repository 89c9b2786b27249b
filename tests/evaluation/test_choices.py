"""Letters and options."""

from __future__ import annotations

import pytest

from sharedcli.evaluation.choices import bare_options, listed, option_letter, said_letter

OPTIONS = ["red", "dark green", "blue", "none of these"]


def test_letters_come_off_only_where_all_have_theirs() -> None:
    assert bare_options(["A. red", "B. green"]) == ["red", "green"]
    assert bare_options(["[A] red", "(B) green"]) == ["red", "green"]
    assert bare_options(["A red", "B green"]) == ["A red", "B green"]
    assert bare_options(["B. red", "A. green"]) == ["B. red", "A. green"]
    assert bare_options([" red ", "green"]) == ["red", "green"]


def test_evidence_among_the_options_is_dropped_and_merged_options_part() -> None:
    assert bare_options(["A. red", "B. green", "The text says green."]) == ["red", "green"]
    assert bare_options(["A. red", "B. green\nC. blue"]) == ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(C)", "C"),
        ("dark green", "B"),
        ("B. dark green", "B"),
        ("E", None),
    ],
)
def test_reference_by_letter_or_text(answer: str, letter: str | None) -> None:
    assert option_letter(answer, OPTIONS) == letter


@pytest.mark.parametrize(
    ("prediction", "letter"),
    [
        ("C", "C"),
        ("C) blue", "C"),
        ("The answer is D.", "D"),
        ("It is dark green, I think", "B"),
        ("red or blue", None),
        ("", None),
        ("Colour unknown", None),
        ("Zebra", None),
    ],
)
def test_what_a_free_answer_chooses(prediction: str, letter: str | None) -> None:
    assert said_letter(prediction, OPTIONS) == letter


def test_options_are_listed_with_letters() -> None:
    assert listed(["x", "y"]) == "A. x\nB. y"
