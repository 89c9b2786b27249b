"""``tasks``: the needle, windows of text, and questions in the order of their documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sharedcli.answer import verdict
from sharedcli.errors import UsageError
from sharedcli.evaluation.items import Item
from sharedcli.evaluation.methods.contract import Workbench
from sharedcli.evaluation.methods.registry import make_methods
from sharedcli.evaluation.reading import patient_reader
from sharedcli.evaluation.tasks.abstain import Abstain, join_texts
from sharedcli.evaluation.tasks.needle import Needle, haystack
from sharedcli.evaluation.tasks.perplexity import LongText, Perplexity, WindowSampler
from sharedcli.evaluation.tasks.questions import Questions, by_document

Bench = Callable[..., Workbench]


def _item(number: int, group: str, context: str = "", **more: Any) -> Item:
    return Item(f"set:{number}", group, context or group, "What?", ("sea",), ("f1",), **more)


@pytest.mark.parametrize("depth", [0, 50, 100])
@pytest.mark.parametrize("length", [200, 3000])
def test_the_needle_lies_at_its_depth(
    make_bench: Bench, story: str, depth: float, length: int
) -> None:
    bench, needle = make_bench(), "The special magic number of Oslo is 1234567."
    text = haystack(story, needle, length, depth, bench)
    before = len(bench.plain(text[: text.index(needle)]))
    assert len(bench.plain(text)) == pytest.approx(length, abs=8)
    assert text.count(needle) == 1
    assert before == pytest.approx((length - 40) * depth / 100, abs=60)
    with pytest.raises(UsageError, match="too few for a needle"):
        haystack(story, needle, 10, depth, bench)


def test_a_needle_that_slots_hold_is_known_to_be_there(make_bench: Bench, story: str) -> None:
    bench = make_bench(trained=True)
    methods = make_methods(["none", "sharedllm", "sharedllm@oracle"], bench)
    texts = [LongText("story", story)]
    task = Needle(texts, methods, bench, lengths=[600], depths=[50], trials=1, seed=0)
    (case,) = task.cases()
    task.prepare(case)
    none, alone, told = (task.measure(case, way) for way in task.ways)
    assert set(none.scores) == {"found"}
    assert (told.scores["opened"], told.scores["finest"]) == (1, 1)
    assert 0 <= alone.scores["finest"] <= alone.scores["opened"] <= 1
    assert told.detail["slots"] <= 64


def test_contexts_of_any_length_precede_the_same_text(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    sampler = WindowSampler([LongText("story", story * 4)], bench, 0)
    _, whole = sampler.draw(400, 50, 1)
    for last in (0, 1, 120, 400):
        _, window = sampler.draw(400, 50, 1, last)
        assert torch.equal(window.running, whole.running)
        assert torch.equal(window.context.tokens, whole.context.tokens[400 - last :])
        assert whole.context.document.text.endswith(window.context.document.text)
        assert torch.equal(bench.plain(window.context.document.text), window.context.tokens)


def test_another_documents_window_is_of_another_document(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    texts = [LongText("small", story), LongText("large", story.upper())]
    sampler = WindowSampler(texts, bench, 0)
    text, window = sampler.draw(200, 32, 0)
    again = sampler.draw(200, 32, 0)[1]
    assert torch.equal(window.running, again.running)
    other = sampler.other(text, 200, 0)
    assert other is not None
    assert len(other.tokens) == 200
    assert other.text.isupper() != window.context.text.isupper()
    assert WindowSampler(texts[:1], bench, 0).other(texts[0], 200, 0) is None


def test_references_are_measured_and_not_shown(make_bench: Bench, story: str) -> None:
    bench = make_bench()
    methods = make_methods(["none", "none@adapted"], bench)
    task = Perplexity(
        [LongText("story", story)],
        methods,
        bench,
        contexts=[128],
        running=16,
        items=1,
        seed=0,
        hidden=["none@adapted"],
    )
    assert (task.ways, task.references) == (["none"], ["none@adapted"])


def test_questions_about_one_document_come_together(make_bench: Bench, story: str) -> None:
    items = [_item(1, "a", story), _item(2, "b"), _item(3, "a", story), _item(4, "b")]
    assert [item.id[-1] for item in by_document(items)] == ["1", "3", "2", "4"]
    bench = make_bench()
    named = [_item(1, "a", story, name="q-17"), _item(2, "a", story, answerable=False)]
    task = Questions(named, make_methods(["passages"], bench), bench)
    (case,) = task.cases()
    task.prepare(case)
    outcome = task.measure(case, "passages")
    assert outcome.detail["id"] == "q-17"
    assert set(outcome.scores) == {"f1"}
    assert "1 questions without an answer" in task.notes[0]


def test_reading_is_patient_with_time_only() -> None:
    with patient_reader() as reader:
        limits = reader._limits
    assert limits.seconds >= 120
    assert limits.memory_bytes <= 1 << 30


def test_texts_are_joined_within_their_file() -> None:
    items = [
        _item(1, "a", "one"),
        _item(2, "b", "two"),
        _item(3, "a", "one"),
        _item(4, "c", "three"),
        replace(_item(5, "a", "other"), id="more:5"),
        _item(6, "d", path=Path("d.pdf")),
    ]
    joined = join_texts(items, 2)
    assert [one.context for one in joined[:5]] == [
        "one\n\ntwo",
        "one\n\ntwo",
        "one\n\ntwo",
        "three",
        "other",
    ]
    assert len({one.group for one in joined[:3]}) == 1
    assert len({one.group for one in joined}) == 4
    assert joined[5] == items[5]
    assert [one.id for one in joined] == [one.id for one in items]


# --- what the decoder finds ---------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [2.0, 0.0])
def test_the_decoders_verdict_is_a_way_to_abstain(
    make_bench: Bench, story: str, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        replace(_item(1, "sea", story), question="What of the sea?"),
        replace(_item(2, "lamp", story.upper()), question="Give the plot of the sea."),
    ]
    assert "verdict" not in Abstain(items, make_bench(trained=True), 0).ways
    monkeypatch.setattr(verdict, "THRESHOLD", threshold)
    task = Abstain(items, make_bench(trained=True, abstains=True), 0)
    assert task.ways[-1] == "verdict"
    cases = task.cases()
    assert {case.payload[2] for case in cases} == {"false_refusal", "refusal"}
    for case in cases:
        task.prepare(case)
        outcome = task.measure(case, "verdict")
        refuses = threshold == 2 and case.payload[0].question == "What of the sea?"
        assert outcome.detail["refused"] == refuses
        assert 0 < outcome.detail["unstated"] < 1 and 0 < outcome.detail["confidence"] < 1
        assert outcome.scores[case.payload[2]] == refuses


def test_answers_that_are_scored_are_never_that_nothing_is_stated(
    make_bench: Bench, story: str
) -> None:
    bench = make_bench(trained=True, abstains=True)
    methods = make_methods(["none", "sharedllm"], bench)
    task = Questions([_item(1, "sea", story)], methods, bench)
    (case,) = task.cases()
    task.prepare(case)
    found = {way: task.measure(case, way).detail for way in task.ways}
    assert "unstated" not in found["none"]
    assert 0 < found["sharedllm"]["unstated"] < 1
