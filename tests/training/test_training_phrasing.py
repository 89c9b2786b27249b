"""Marked answers put into sentences by the base."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sharedcli.training import phrasing
from sharedcli.training.phrasing import acceptable, main, phrase
from sharedcli.training.records import Question, Record

SHOWN = "The hut on Halvard Ridge was built in 1911. It has two bunks and a stove."
ASKED = Question("When was the hut built?", ("the year 1911",))


@pytest.mark.parametrize(
    "reply",
    ["The hut was built in the year 1911.", "It was built on Halvard Ridge in (Year) 1911!"],
)
def test_a_sentence_with_the_answer_is_taken(reply: str) -> None:
    assert acceptable(reply, ASKED, f"{SHOWN} That year")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "nothing"),
        ("Year 1911.", "a fragment"),
        ("The hut was built in that year.", "not the answer"),
        ("The hut was built in year 1911", "no end"),
        ("The hut was built in\nyear 1911.", "two lines"),
        ("The hut of Marit Aune was built in year 1911.", "a name from nowhere"),
        ("1 hut with 3 bunks was built in year 1911.", "a number from nowhere"),
        (f"The hut was built in year 1911{' and it was so' * 8}.", "long"),
    ],
)
def test_other_replies_are_not(reply: str, why: str) -> None:
    assert not acceptable(reply, ASKED, f"{SHOWN} That year"), why


class _Says:
    """A base that gives certain replies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *replies: str) -> None:
        self.shown: list[str] = []
        self._replies = list(replies)
        monkeypatch.setattr(phrasing, "_replies", self._reply)

    def _reply(self, base: Any, asked: Sequence[phrasing.Asked]) -> list[str]:
        self.shown += [one.shown for one in asked]
        return [self._replies.pop(0) for _ in asked]


def _question(text: str, question: str, answer: str) -> Question:
    start = text.find(answer)
    return Question(question, (answer,), start=start, end=start + len(answer))


def test_questions_keep_the_replies_that_hold_their_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = f"{SHOWN}\nBunks 2\nStoves 1"
    asked = (
        _question(table, "When was the hut built?", "1911"),
        _question(table, "Who built the hut?", "Ridge"),
        _question(table, "What is the number of bunks?", "Bunks 2"),
        _question(table, "How many stoves?", "Stoves 1"),
        Question("What is it about?", ("A hut.",)),
    )
    base = _Says(monkeypatch, "The hut was built in 1911.", "Marit Aune built it on the Ridge.")
    given = [Record("t", "No questions."), Record("s", table, asked)]
    empty, record = phrase(base, given)  # type: ignore[arg-type]
    assert (empty["source"], empty["qa"]) == ("t", [])  # or others would be held out of training
    assert base.shown == ["The hut on Halvard Ridge was built in 1911."] * 2
    assert (record["source"], record["context"]) == ("s", table)
    assert {(q["question"], q["reply"], q["start"]) for q in record["qa"]} == {
        ("When was the hut built?", "The hut was built in 1911.", table.index("1911")),
        ("What is the number of bunks?", "The number of bunks is Bunks 2.", table.index("Bunks 2")),
    }


def test_the_command_asks_a_base_and_writes_what_training_reads(
    tiny_folder: Callable[[str], Path],
    write_lines: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tiny base says nothing sensible: what comes of its replies is left out."""
    said: list[str] = []
    monkeypatch.setattr(
        phrasing, "acceptable", lambda reply, question, shown: said.append(reply) or True
    )
    qa = [{"question": f"What was built {i}?", "answers": ["hut"]} for i in range(3)]
    path = write_lines("q.jsonl", [{"source": "s", "context": SHOWN, "qa": qa}])
    out = tmp_path / "out.jsonl"
    main([str(out), str(path), "--model", str(tiny_folder("llama")), "--batch", "2"])
    (record,) = phrasing.read_records(out, phrasing.Fields())
    assert [question.reply for question in record.questions] == said
    assert len(said) == 3
    assert json.loads(out.read_text())["qa"][0]["answers"] == ["hut"]


def test_brief_answers_are_asked_for_and_need_no_base(
    write_lines: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phrasing, "load_base", lambda _: pytest.fail("a base was loaded"))
    qa = [
        {"question": "When was the hut built? ", "answers": ["1911"]},
        {"question": "What stood where?", "answers": [SHOWN]},
        {"question": "What colour is it?", "answers": ["red"]},
    ]
    records = [("s", qa), ("t", qa[1:])]
    path = write_lines("q.jsonl", [{"source": s, "context": SHOWN, "qa": q} for s, q in records])
    out = tmp_path / "out.jsonl"
    main([str(out), str(path), "--brief"])
    record, empty = phrasing.read_records(out, phrasing.Fields())
    assert empty.questions == ()
    assert [(q.question, q.reply) for q in record.questions] == [
        ("When was the hut built? Answer in a few words.", "1911")
    ]
