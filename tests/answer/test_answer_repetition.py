"""Loops: what is said again is not shown, and all else comes through as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedcli.answer.repetition import without_repetition

LOOP = "The relay is open. The bell is on the sill. The bell is on the sill. The bell is"


def shown(text: str, size: int) -> str:
    return "".join(without_repetition([text[at : at + size] for at in range(0, len(text), size)]))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_loop_ends_before_its_second_round(size: int) -> None:
    assert shown(LOOP, size) == "The relay is open. The bell is on the sill. "
    cut = "The bell is on the sill. The bell is on"
    assert shown(cut, size) == "The bell is on the sill. "


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The answer to it is: The answer to it is: The answer to it", "The answer to it is: "),
        ("He said: the sea, the wind, the sea, the wind, the sea", "He said: the sea, the wind, "),
        (
            "The bell rang. Then the relay and then the relay and then",
            "The bell rang. Then the relay and then ",
        ),
        ("the very old bell the very old bell", "the very old bell "),
        ("so it is, " * 6, "so it is, " * 2),
    ],
)
def test_a_phrase_that_follows_itself_ends_a_sentence_that_has_no_end(
    text: str, kept: str, size: int
) -> None:
    assert shown(text, size) == kept


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_loop_is_seen_across_lines_that_are_broken_elsewhere_in_each_round(size: int) -> None:
    said = "He wants to serve. The story is about\nthe one who is\nthe subject of the story. "
    loop = "The\nstory is about the one\nwho is the subject of the\nstory. The story"
    assert shown(said + loop, size).split() == said.split()
    poem = "Row, row, row the boat\ngently down stream.\nRow, row, row the oar\nup the stream."
    assert shown(poem, size) == poem


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "0 0 0 0 0 0 a 0 0 0 a 0 0 0 7",
        "It went from the old mill to the sea and from the sea back to the old mill",
        "the very old bell the very old bells",
        "up and down, up and down, up and away",
        "very very very very very very old",
        "The auditor of Corning Inc. is PwC. The auditor of Corning Inc. in Europe is KPMG.",
        "It is made in the U.S. since 1990. It is made in the U.S. and in Spain.",
        "10 to 20 percent of sales\n1",
        "Notably the firm did not do so\nNo",
    ],
)
def test_what_says_nothing_twice_is_shown(text: str, size: int) -> None:
    assert shown(text, size) == text


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_only_begins_alike_is_shown(size: int) -> None:
    text = (
        "The bell is on the sill. The bell is on the tower. Yes. No. Yes.\n1 2\n1 2\nThe bell rang"
    )
    assert shown(text, size) == text


def test_nothing_is_held_back_that_cannot_repeat() -> None:
    made, seen = "", ""

    def pieces() -> Iterator[str]:
        nonlocal made
        for piece in ["The relay ", "is open. ", "A bell ", "rang, "]:
            made += piece
            yield piece
            assert seen == made

    for text in without_repetition(pieces()):
        seen += text
    assert seen == made


@given(st.lists(st.text(alphabet="ab .\n", max_size=6)))
def test_what_is_shown_is_how_the_text_begins(pieces: list[str]) -> None:
    assert "".join(pieces).startswith("".join(without_repetition(pieces)))
