"""``Answer``: text that is produced once, and what it knows afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sharedcli.answer.answer import Answer, Evidence, Timings, Usage
from sharedcli.answer.corrections import Correction


def _answer(*pieces: str, fails: bool = False) -> Answer:
    def produce(_: Answer) -> Iterator[str]:
        yield from pieces
        if fails:
            raise MemoryError

    return Answer(
        "Why?", True, (), Evidence(1, 0, 0), Usage(9, 0, 0), Timings(), "m", "none", _pieces=produce
    )


def test_text_grows_while_it_is_read() -> None:
    answer = _answer("The", " fog", ".")
    seen = [(piece, answer.text) for piece in answer]
    assert seen == [("The", "The"), (" fog", "The fog"), (".", "The fog.")]


def test_the_text_is_produced_once() -> None:
    answer = _answer("The", " fog", ".")
    assert answer.read() == answer.read() == "The fog."
    assert list(answer) == []
    assert answer.text == "The fog."


def test_reading_goes_on_where_iteration_stopped() -> None:
    answer = _answer("The", " fog", ".")
    for _ in answer:
        break
    assert answer.text == "The"
    assert answer.read() == "The fog."


def test_nothing_is_produced_before_it_is_asked_for() -> None:
    answer = _answer(fails=True)
    assert answer.text == ""
    with pytest.raises(MemoryError):
        answer.read()


def test_what_came_before_a_failure_is_kept() -> None:
    answer = _answer("The", " fo", fails=True)
    with pytest.raises(MemoryError):
        answer.read()
    assert answer.text == "The fo"


def test_times_are_in_order() -> None:
    answer = _answer("The", " fog")
    assert answer.timings.total == 0
    next(iter(answer))
    first = answer.timings.first_token
    assert first > 0
    answer.read()
    assert answer.timings.first_token == first <= answer.timings.total


def test_an_empty_answer_has_a_time_too() -> None:
    answer = _answer()
    assert answer.read() == ""
    assert answer.timings.total > 0


def test_a_refused_answer_says_nothing_and_corrects_nothing() -> None:
    found = _answer("unused")
    found.corrected = (Correction("7,500", "6,489", "Net revenues", "2019"),)
    found.refuse("it is not there")
    assert (found.found, found.corrected) == (False, ())
    assert found.evidence.note == "it is not there"
