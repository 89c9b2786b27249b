"""Which sources say what an answer says."""

from __future__ import annotations

import pytest

from sharedcli.answer.attribution import holding, specifics, stating

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


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("The CEO of Amcor is Ron Delia.", "Who is the CEO of Amcor?", ["Ron Delia"]),
        ("Ron Delia and Bob Hill did.", "Who did?", ["Delia", "Bob Hill"]),
        ("Turn back at the cairn.", "Where?", []),
        ("It is paid on March 30, 2023.", "When is it paid?", ["March 30, 2023"]),
        ("In 2022 it was $315 million, or 3.5%.", "And in 2022?", ["315 million", "3.5"]),
        ("A million came. 5 million left.", "How many came?", ["5 million"]),
        ("In 1,437 it was. In 1437 it was.", "When?", ["1437"]),
        ("It is at post 88.\nThe B52 is not.", "Where?", ["88", "B52"]),
        ("", "Where?", []),
    ],
)
def test_figures_and_names_that_a_question_does_not_have_are_found(
    answer: str, question: str, expected: list[str]
) -> None:
    assert list(specifics(answer, question)) == expected


def test_a_source_holds_a_figure_or_a_name_as_a_whole() -> None:
    wanted = ("1,437", "Marit Aune", "March 30, 2023", "88", "5")
    sources = [
        "1437 metres high, founded by\nMARIT\nAUNE on (March 30 2023)",
        "11,437 and 1,437.5 metres; Marit, and Aune; the 30th of March 2023; 8 8, 3.5%",
        "between 5 and 88",
    ]
    assert holding(wanted, sources) == (wanted[:3], (), ("88", "5"))
    assert holding((), sources) == ((), (), ())
    assert holding(wanted, []) == ()


def test_a_scale_may_stand_above_the_columns() -> None:
    table = "(Dollars in millions)\nNet sales 14,694 14,544\nFlexibles 2.5 billion"
    said = ("$14,694 million", "14,694 billion", "2.5 billion", "3.5 million", "million")
    assert holding(said, [table]) == (("$14,694 million", "2.5 billion"),)
    assert holding(said[:1], ["Net sales 14,694 in all"]) == ((),)
