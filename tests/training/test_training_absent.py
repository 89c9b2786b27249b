"""Questions that a context does not answer: where they come from, and what is left out."""

from __future__ import annotations

from random import Random

from sharedcli.answer.verdict import NOT_STATED
from sharedcli.training.absent import draw_absent
from sharedcli.training.token_files import TokenisedDocument, TokenisedQuestion


def _question(text: str, answer: str, start: int, reply: str = "") -> TokenisedQuestion:
    return TokenisedQuestion(text, (answer,), (), start, start + 1 if start >= 0 else -1, reply)


OWN = TokenisedDocument(
    "harbour",
    0,
    100,
    (
        _question("How many ships are there?", "nine", 10),
        _question("Who keeps the lamp?", "Marit", 60, "Marit keeps the lamp."),
        _question("What is the tide?", "low water", 70),
        _question("What is it about?", "A harbour.", -1),
    ),
)
OTHER = TokenisedDocument(
    "book",
    0,
    50,
    (
        _question("How many ships lie in the harbour?", "seven", 5),
        _question("Which novelist lived in Lisbon?", "Pessoa", 20),
        _question("?", "Azores", 30),
    ),
)
PART = "There are nine ships in the harbour at low water."


def _drawn(document: TokenisedDocument, part: tuple[int, int], text: str) -> set[str]:
    found = [draw_absent(Random(i), document, part, text, [OWN, OTHER]) for i in range(30)]
    assert all(q is None or (q.reply, q.start, q.end) == (NOT_STATED, -1, -1) for q in found)
    return {"" if q is None else q.question for q in found}


def test_it_is_answered_outside_the_part_and_its_answer_does_not_stand_in_it() -> None:
    assert _drawn(OWN, (0, 50), PART) == {"Who keeps the lamp?"}


def test_a_document_that_is_read_whole_gets_another_ones_about_what_it_does_not_name() -> None:
    assert _drawn(OWN, (0, 100), PART) == {"Which novelist lived in Lisbon?"}


def test_none_is_drawn_where_all_is_named() -> None:
    everything = "The novelist Pessoa lived in Lisbon; seven ships lie in the harbour."
    assert _drawn(OWN, (0, 100), everything) == {""}
