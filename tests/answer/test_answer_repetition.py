"""Loops: what is said again is not shown, and all else comes through as it was."""

from __future__ import annotations

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


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_only_begins_alike_is_shown(size: int) -> None:
    text = (
        "The bell is on the sill. The bell is on the tower. Yes. No. Yes.\n1 2\n1 2\nThe bell rang"
    )
    assert shown(text, size) == text


def test_nothing_is_held_back_that_cannot_repeat() -> None:
    pieces = without_repetition(iter(["The relay ", "is open. ", "A bell "]))
    assert next(pieces) == "The relay "
    assert next(pieces) == "is open. "
    assert next(pieces) == "A bell "


@given(st.lists(st.text(alphabet="ab .\n", max_size=6)))
def test_what_is_shown_is_how_the_text_begins(pieces: list[str]) -> None:
    assert "".join(pieces).startswith("".join(without_repetition(pieces)))
