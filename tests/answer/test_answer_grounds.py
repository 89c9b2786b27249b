"""Near the figure or name that an answer adds stand the words of its question, or they do not."""

from __future__ import annotations

import pytest

from sharedcli.answer.grounds import _PLACES, REACH, Grounds

BOARD = (
    "Bill Hornbuckle, chief executive officer, spoke of the quarter. " + "x " * REACH + ". "
    "The audit was made by Deloitte & Touche LLP, the auditors since 2019. It cost $1,487 thousand."
)


def grounds(question: str, *passages: str, **weights: float) -> Grounds:
    return Grounds(question, 0.0, weights, passages)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("The auditor is Bill Hornbuckle.", 0.0),
        ("The auditor is Deloitte & Touche LLP.", 1.0),
        ("The auditor is DELOITTE.", 1.0),
        ("The auditor is Ernst.", 0.0),  # in no passage
        ("The auditor is Touch.", 0.0),  # not as a whole
        ("The auditor cost 1487 thousand.", 0.0),
        ("The auditor cost 1,487 thousand.", 1.0),
        ("The auditor cost 1,487 billion.", 1.0),  # a scale may stand above the columns
        ("Between Bill and Deloitte.", 0.5),
        ("The auditor is not told.", None),
        ("", None),
    ],
)
def test_words_count_where_what_is_added_stands(said: str, expected: float | None) -> None:
    assert grounds("Who is the auditor?", BOARD, auditor=1.0).nearness(said) == expected


def test_rare_words_weigh_more_and_endings_do_not_matter() -> None:
    asked = grounds("Who audited MGM?", BOARD, audited=3.0, mgm=1.0)
    assert asked.nearness("It is Deloitte.") == pytest.approx(0.75)
    assert grounds("Who?", BOARD).nearness("It is Deloitte.") is None  # no words to look for
    assert grounds("Who audited it?", audited=1.0).nearness("It is Deloitte.") == 0.0


def test_the_best_passage_counts_and_reach_ends() -> None:
    far = "auditor " + "x" * (REACH + 1) + " Ann"
    near = "auditor " + "x" * (REACH - 20) + " Ann"
    assert grounds("Which auditor?", far, auditor=1.0).nearness("It is Ann.") == 0.0
    assert grounds("Which auditor?", far, near, auditor=1.0).nearness("It is Ann.") == 1.0


def test_only_the_first_places_of_a_passage_are_looked_at() -> None:
    many = f"7 {'x' * 2 * REACH} " * _PLACES
    assert grounds("Which auditor?", f"auditor {many}", auditor=1.0).nearness("It is 7.") == 1.0
    assert grounds("Which auditor?", f"{many} 7 auditor", auditor=1.0).nearness("It is 7.") == 0.0
