from __future__ import annotations

import pytest

from sharedcli.retrieve.follow_up import search_text, stands_alone

BEFORE = [("Who keeps the lighthouse?", "Aino."), ("What does the oil cost?", "7 crowns.")]


@pytest.mark.parametrize(
    "question",
    [
        "and in 2021?",
        "who paid for it?",
        "How many barrels did they buy in March?",
        "What did the harbour master say about that?",
        "What about their debts?",
        "Which company sold its oil?",  # two words before "its" are few
        "Who audits the company?",
        "What about the harbour of Turku?",  # it goes on, though it names a place
        "Did Aino sell them?",
        "In the June quarter?",  # no question by itself
        "Turku and Helsinki?",
        "Which big company bought it, and who financed the purchase?",
        "Is that the price of colza oil?",
        "Which barrels of that year did the harbour master sell?",
        "?",
    ],
)
def test_short_questions_and_those_that_refer_back_are_searched_with_the_one_before(
    question: str,
) -> None:
    assert search_text(question, BEFORE) == f"{question} What does the oil cost?"
    assert not stands_alone(question, BEFORE)


@pytest.mark.parametrize(
    "question",
    [
        "Which composer wrote symphonies during his exile in Siberia?",
        "What products does the company sell in its stores?",
        "What did the harbour master's wife pay?",
        "Who is the auditor of Amcor?",
        "And what did the harbour master's wife pay?",
        "Which airline does Amcor own?",
        "How many patents are there in the United States?",
        "Who is the director that joined the board in 1983?",
    ],
)
def test_other_questions_are_their_own(question: str) -> None:
    assert search_text(question, BEFORE) == question
    assert stands_alone(question, BEFORE)


def test_questions_that_go_on_are_searched_back_to_one_of_its_own() -> None:
    history = [
        ("Who keeps the lighthouse of Turku?", "Aino."),
        ("Who is Wendell Weeks?", "He leads Corning."),
        ("When did he join?", "In 1983."),
    ]
    wanted = "What did he study? When did he join? Who is Wendell Weeks?"
    assert search_text("What did he study?", history) == wanted


def test_what_speaks_to_the_assistant_need_not_be_in_the_documents() -> None:
    question = "Which barrel prices have you named so far?"
    assert search_text(question, BEFORE) == question
    assert not stands_alone(question, BEFORE)


@pytest.mark.parametrize("question", ["and in 2021?", "who paid for it?", ""])
def test_the_first_question_stands_alone_whatever_it_says(question: str) -> None:
    assert search_text(question, []) == question
    assert stands_alone(question, [])
