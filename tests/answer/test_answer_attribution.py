"""Which sources say what an answer says."""

from __future__ import annotations

import pytest

from sharedcli.answer.attribution import stating

PAGE = (
    "The winter route is longer. The last safe place to turn back is the\ncairn at post\n88. Below "
    "minus twenty-five degrees, the changeover is put off."
)


@pytest.mark.parametrize(
    "answer",
    [
        "The last safe place to turn back is the cairn at post 88.",
        "the last safe place to turn  back is the cairn at POST 88",
        "It is far. The last safe place to turn back is the cairn at post 88.",
        "I do not know\nBelow minus twenty five degrees the changeover is put off",
    ],
)
def test_a_sentence_is_found_whatever_its_lines_case_and_stops(answer: str) -> None:
    assert stating(answer, ["Another page.", PAGE]) == (False, True)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "post 88",
        "The winter route",  # too short
        "The last safe place to turn back is the cairn at post 8.",
        "The last safe place to turn back on the winter route is the cairn at post 88.",
        "The winter route is longer, and the last safe place is a cairn.",
    ],
)
def test_what_does_not_stand_there_is_not_said_to(answer: str) -> None:
    assert stating(answer, [PAGE]) == (False,)


def test_every_source_that_says_it_is_named() -> None:
    answer = "The winter route is longer. It was founded by a schoolteacher."
    assert stating(answer, [PAGE, PAGE.upper(), "It was founded by a schoolteacher,", ""]) == (
        True,
        True,
        True,
        False,
    )
    assert stating(answer, []) == ()
