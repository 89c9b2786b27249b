"""Samples, cuts and batches: lengths, places, and what the loss is on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedcli.errors import UsageError
from sharedcli.training.batches import IGNORED, alike, make_batch
from sharedcli.training.cuts import draw_cuts, fixed_cut, level_geometry
from sharedcli.training.data_rules import DataRule
from sharedcli.training.feed import Feed, Place, Prefetch
from sharedcli.training.prompts import LONGEST_QUESTION
from sharedcli.training.questions import QuestionSampler
from sharedcli.training.recipe import Draw, Objective, Phase, Stage
from sharedcli.training.samples import Running, Sample, TextSampler
from sharedcli.training.sources import Source, open_sources
from sharedcli.tree.frontier import is_partition
from sharedcli.tree.geometry import TreeGeometry

PLAN = TreeGeometry(128, 3, 8, "nested", "last")


@pytest.fixture
def sources(
    tiny_base: Callable[..., Any], long_text: Path, asked_text: Path, tmp_path: Path
) -> list[Source]:
    base = tiny_base()
    return open_sources(
        [long_text, asked_text],
        rules=[],
        holdout=[],
        tokenizer=base.tokenizer,
        tokenizer_digest="d",
        cache=tmp_path / "cache",
    )


def _tokens_of(sources: list[Source], held: bool) -> str:
    parts = [
        " ".join(map(str, source.file.slice(d.start, d.end).tolist()))
        for source in sources
        for d in (source.held if held else source.training)
    ]
    return " | ".join(parts)


def test_long_text_has_the_lengths_asked_for_and_ends_in_one_document(
    sources: list[Source],
) -> None:
    sampler = TextSampler(sources[:1])
    known = _tokens_of(sources[:1], held=False)
    unseen = _tokens_of(sources[:1], held=True)
    for seed in range(40):
        sample = sampler.draw(Random(seed), 200, 30, distractors=0.5, chunk=50)
        (running,) = sample.running
        assert (len(sample.context), len(running.tokens)) == (200, 30)
        text = " ".join(map(str, running.tokens.tolist()))
        assert text in known
        assert text not in unseen


def test_held_out_text_is_never_trained_on(sources: list[Source]) -> None:
    held = TextSampler(sources[:1], held=True)
    known = _tokens_of(sources[:1], held=False)
    for seed in range(10):
        running = held.draw(Random(seed), 64, 60).running[0].tokens
        assert " ".join(map(str, running.tolist())) not in known


def test_without_distractors_context_and_running_text_are_consecutive(
    sources: list[Source],
) -> None:
    sample = TextSampler(sources[:1]).draw(Random(3), 40, 20)
    joined = torch.cat((sample.context, sample.running[0].tokens)).tolist()
    assert " ".join(map(str, joined)) in _tokens_of(sources[:1], held=False)


def test_documents_too_short_for_the_running_text_are_named(sources: list[Source]) -> None:
    with pytest.raises(UsageError, match=r"no training document has more than 100000 tokens"):
        TextSampler(sources).draw(Random(0), 10, 100_000)


def test_the_prompt_never_holds_the_answer_and_the_loss_is_on_it_alone(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    sampler = QuestionSampler(sources[1:], tokenizer)
    seen = 0
    for seed in range(30):
        sample = sampler.draw(Random(seed), 400, 2, distractors=1.0)
        assert len(sample.context) <= 400
        batch = make_batch([sample], (), teachers=True)
        for row, running in enumerate(sample.running):
            targets = batch.labels[row][batch.labels[row] != IGNORED]
            answer = running.tokens[running.first_target :]
            assert targets.tolist() == answer.tolist()
            assert answer[-1].item() == tokenizer.eos_token_id
            prompt = tokenizer.decode(running.tokens[: running.first_target])
            said = tokenizer.decode(answer[:-1])
            assert running.verbatim is not None
            assert running.verbatim[-len(answer) :].tolist() == answer.tolist()
            if "word of day" in prompt:
                seen += 1
                assert said not in prompt
                assert running.evidence is not None
                assert said in tokenizer.decode(sample.context[slice(*running.evidence)])
                whole = tokenizer.decode(running.verbatim)
                assert tokenizer.decode(sample.context[5:-5]) in whole
    assert seen > 10


def test_a_verbatim_passage_may_stand_in_the_prompt(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    sampler = QuestionSampler(sources[1:], tokenizer)
    sample = sampler.draw(Random(0), 400, 2, verbatim=1.0)
    assert all("from the text above" in tokenizer.decode(r.tokens) for r in sample.running)


def test_prompts_quote_several_passages_of_the_context_the_right_one_mostly_among_them(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    sampler = QuestionSampler(sources[1:], tokenizer)
    counts: Counter[int] = Counter()
    right = 0
    for seed in range(40):
        sample = sampler.draw(Random(seed), 2000, 1, distractors=1.0, verbatim=1.0, passages=3)
        (running,) = sample.running
        prompt = tokenizer.decode(running.tokens[: running.first_target])
        if "What is the word of day" not in prompt:
            continue
        body = prompt.partition("Answer this question with")[0]
        parts = [part for part in body.split("\n\n") if part.strip()]
        counts[len(parts)] += 1
        assert running.evidence is not None
        right += tokenizer.decode(sample.context[slice(*running.evidence)]).strip() in body
    total = sum(counts.values())
    assert len(counts) > 1 and total > 10
    assert 0.7 * total < right


def _answer_of(tokenizer: Any, running: Running) -> str:
    return str(tokenizer.decode(running.tokens[running.first_target : -1])).strip()


def test_a_reply_is_said_instead_of_the_answer_that_it_holds(
    write_lines: Callable[..., Path], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    qa = [
        {"question": "What is low?", "answers": ["tide"], "reply": " The tide is low. "},
        {"question": "What is high?", "answers": ["ship"]},
    ]
    path = write_lines("two.jsonl", [{"source": "s", "context": "The tide, a ship.", "qa": qa}])
    tokenizer = tiny_base().tokenizer
    sources = open_sources(
        [path], rules=[], holdout=[], tokenizer=tokenizer, tokenizer_digest="d", cache=tmp_path
    )
    sample = QuestionSampler(sources, tokenizer).draw(Random(0), 60, 2)
    said = {_answer_of(tokenizer, running) for running in sample.running}
    assert said == {"The tide is low.", "ship"}
    evidence = {tokenizer.decode(sample.context[slice(*r.evidence)]) for r in sample.running}
    assert {text.strip() for text in evidence} == {"tide", "ship"}


def test_prompts_of_a_context_quote_the_same_passages_and_mostly_ask_what_these_answer(
    write_lines: Callable[..., Path], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    facts = [f"The ship number {i} has {i + 31} books." for i in range(40)]
    qa = [
        {"question": f"How many books has the ship number {i}?", "answers": [fact]}
        for i, fact in enumerate(facts)
    ]
    filler = " What a day." * 12
    context = "\n\n".join(fact + filler for fact in facts)
    path = write_lines("ships.jsonl", [{"source": "s", "context": context, "qa": qa}])
    tokenizer = tiny_base().tokenizer
    sources = open_sources(
        [path], rules=[], holdout=[], tokenizer=tokenizer, tokenizer_digest="d", cache=tmp_path
    )
    sampler = QuestionSampler(sources, tokenizer)
    for seed in range(10):
        sample = sampler.draw(Random(seed), 100_000, 8, verbatim=1.0)
        fronts = [
            tokenizer.decode(r.tokens[: r.first_target]).partition("Answer this question with")[0]
            for r in sample.running
        ]
        assert len(set(fronts)) == 1
        missed = [_answer_of(tokenizer, r) not in fronts[0] for r in sample.running]
        assert sum(missed[1:]) <= 1  # the first may be one that the search misses
        (run,) = alike(make_batch([sample], ()))
        assert run[:2] == (0, len(missed)) and run[2] > 0


def test_questions_that_fit_no_prompt_are_left_out(
    write_lines: Callable[..., Path], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    long = {"question": "why " * LONGEST_QUESTION, "answers": ["It"]}
    short = {"question": "What has the ship?", "answers": ["It has books"]}
    path = write_lines(
        "q.jsonl", [{"source": "s", "context": "It has books.", "qa": [long, short]}]
    )
    tokenizer = tiny_base().tokenizer
    sources = open_sources(
        [path], rules=[], holdout=[], tokenizer=tokenizer, tokenizer_digest="d", cache=tmp_path
    )
    sampler = QuestionSampler(sources, tokenizer)
    assert (sampler.too_long, len(sampler)) == (1, 1)
    for seed in range(5):
        assert len(sampler.draw(Random(seed), 512, 8, verbatim=0.5).running) == 1


@pytest.mark.parametrize("absent", [0.0, 1.0])
def test_a_question_of_a_prompt_with_passages_may_have_no_answer(
    absent: float, sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    sampler = QuestionSampler(sources[1:], tokenizer)
    unstated = 0
    for seed in range(20):
        sample = sampler.draw(Random(seed), 60, 2, verbatim=1.0, absent=absent)
        for running in sample.running:
            said = _answer_of(tokenizer, running)
            assert (running.evidence is None) == (said == "Not stated.")
            unstated += said == "Not stated."
        without = sampler.draw(Random(seed), 60, 2, absent=absent)
        assert all(running.evidence is not None for running in without.running)
    assert (unstated > 5) == bool(absent)


def test_a_question_about_all_of_a_text_has_nothing_around_it(
    write_lines: Callable[..., Path], tiny_base: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [
        {"source": f"s{i}", "context": f"The tide {i}.", "qa": [{"question": q, "answers": [a]}]}
        for i, (q, a) in enumerate([("About what?", "Water."), ("Which number?", "1")])
    ]
    tokenizer = tiny_base().tokenizer
    sources = open_sources(
        [write_lines("two.jsonl", rows)],
        rules=[DataRule(holdout_every=0)],
        holdout=[],
        tokenizer=tokenizer,
        tokenizer_digest="d",
        cache=tmp_path,
    )
    sampler = QuestionSampler(sources, tokenizer)
    drawn = [sampler.draw(Random(seed), 60, 1, distractors=1.0) for seed in range(10)]
    contexts = {tokenizer.decode(sample.context).strip() for sample in drawn}
    assert "The tide 0." in contexts
    assert any("The tide 0." in text and "The tide 1." in text for text in contexts)


def test_long_documents_are_read_around_an_answer(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    sampler = QuestionSampler(sources[1:], tokenizer)
    for seed in range(20):
        sample = sampler.draw(Random(seed), 60, 2)
        assert len(sample.context) == 60
        for running in sample.running:  # only what is quoted from the window is asked
            said = tokenizer.decode(running.tokens[running.first_target : -1])
            assert running.evidence is not None
            assert said in tokenizer.decode(sample.context[slice(*running.evidence)])
    with pytest.raises(UsageError, match="no document with questions fits a context of 5"):
        sampler.draw(Random(0), 5, 1)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    length=st.integers(1, 700),
    ratio=st.sampled_from([1, 2, 3, 4, 8, 16, 40]),
    kind=st.sampled_from(["level", "right", "path", "partition", "evidence"]),
    jitter=st.sampled_from([0.0, 0.2]),
    levels=st.sampled_from(["nested", "per_node"]),
)
def test_every_drawn_frontier_is_a_partition_of_its_chunk(
    *, seed: int, length: int, ratio: float, kind: str, jitter: float, levels: Any
) -> None:
    weights = dict.fromkeys(("level", "right", "path", "partition", "evidence"), 0.0)
    draw = Draw(**{**weights, kind: 1.0}, split_jitter=jitter, drop_chunks=0.5)
    plan = TreeGeometry(128, 3, 8, levels, "last")
    spans = [(length // 2, length // 2 + 1)]
    (cut,) = draw_cuts(Random(seed), [length], plan=plan, ratio=ratio, draw=draw, evidence=[spans])
    chunks = [frontier[0].chunk for frontier in cut.frontiers]
    assert chunks == sorted(set(chunks))
    assert length // 2 // 128 in chunks
    assert len(chunks) >= cut.tree.chunks / 2
    for frontier in cut.frontiers:
        assert is_partition(cut.tree, frontier[0].chunk, frontier)


@pytest.mark.parametrize("ratio", [1, 2, 4, 8, 16])
def test_a_full_chunk_has_the_ratio_asked_for(ratio: int) -> None:
    for tree in (fixed_cut(256, PLAN, ratio),):
        slots = sum(tree.tree.slots(node) for f in tree.frontiers for node in f)
        assert 256 / slots == pytest.approx(ratio, rel=0.15)
    for level in (1, 2, 3):
        geometry = level_geometry(PLAN, ratio, level)
        assert geometry.ratio(geometry.depth) == ratio


def test_evidence_is_opened_finest() -> None:
    draw = Draw(level=0, right=0, path=0, partition=0, evidence=1, drop_chunks=0)
    for seed in range(20):
        spans = [[(70, 72)]]
        (cut,) = draw_cuts(Random(seed), [256], plan=PLAN, ratio=8, draw=draw, evidence=spans)
        (node,) = [n for n in cut.frontiers[0] if n.start <= 70 < n.end]
        assert node.level == PLAN.depth


def test_padding_and_first_targets_are_laid_out_in_one_batch() -> None:
    one = Sample(torch.arange(5), (Running(torch.tensor([1, 2, 3])),))
    two = Sample(
        torch.arange(7),
        (Running(torch.tensor([4, 5, 6, 7, 8]), 3), Running(torch.tensor([9, 10]), 1)),
    )
    batch = make_batch([one, two], ())
    assert batch.tokens.tolist() == [[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [9, 10, 0, 0, 0]]
    x = IGNORED
    assert batch.labels.tolist() == [[2, 3, x, x, x], [x, x, 7, 8, x], [10, x, x, x, x]]
    assert batch.owner.tolist() == [0, 1, 1]
    assert batch.first == 0


def _same(one: Any, other: Any) -> bool:
    return (
        one.tokens.equal(other.tokens)
        and one.cuts == other.cuts
        and all(a.equal(b) for a, b in zip(one.contexts, other.contexts, strict=True))
    )


def _feed(sources: list[Source], tokenizer: Any, **stage: Any) -> Feed:
    phase = Phase(context_tokens=(64, 128), running_tokens=(16, 24), ratios=(2, 8))
    given: dict[str, Any] = {"questions": 0.5, "curriculum": (phase,), "batch": 2}
    return Feed(
        Stage(**{**given, **stage}),
        "seed/0",
        PLAN,
        TextSampler(sources[:1]),
        QuestionSampler(sources[1:], tokenizer),
    )


def test_batches_are_functions_of_their_place(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    tokenizer = tiny_base().tokenizer
    one, other = (_feed(sources, tokenizer) for _ in range(2))
    places = [Place(step, rank=rank, world=2) for step in range(6) for rank in range(2)]
    batches = [one.batch(place, 0.0) for place in places]
    assert all(_same(b, other.batch(p, 0.0)) for p, b in zip(places, batches, strict=True))
    assert len({str((b.tokens, b.contexts)) for b in batches}) == len(batches)


def test_a_pool_comes_again_in_another_order(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    feed = _feed(sources, tiny_base().tokenizer, pool=5)
    epochs = [[feed.batch(Place(e * 5 + i), 0.0) for i in range(5)] for e in range(3)]
    names = [[batch.digest for batch in epoch] for epoch in epochs]
    assert len(set(names[0])) == 5
    assert set(names[0]) == set(names[1]) == set(names[2])
    assert len({tuple(epoch) for epoch in names}) > 1
    again = {batch.digest: batch for batch in epochs[1]}
    assert all(_same(batch, again[batch.digest]) for batch in epochs[0])


def test_prefetching_changes_no_batch_and_passes_errors_on(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    feed = _feed(sources, tiny_base().tokenizer)
    places = [(Place(step), 0.0) for step in range(12)]
    # drawn first: a tokenizer may not be shared by two threads
    expected = [feed.batch(*place) for place in places]
    prefetch = Prefetch(feed.batch, ahead=3)
    try:
        for step in (*range(5), 2, 3):  # and back, as after a checkpoint
            assert _same(prefetch.get(places[step:]), expected[step])
    finally:
        prefetch.close()

    def fail(place: Place, progress: float) -> Any:
        raise UsageError("no such batch")

    broken = Prefetch(fail)
    try:
        with pytest.raises(UsageError, match="no such batch"):
            broken.get(places)
    finally:
        broken.close()


def test_a_stage_without_its_kind_of_data_is_refused(
    sources: list[Source], tiny_base: Callable[..., Any]
) -> None:
    text, asked = TextSampler(sources[:1]), QuestionSampler(sources[1:], tiny_base().tokenizer)
    with pytest.raises(UsageError, match="needs passages with questions"):
        Feed(Stage(questions=1.0), "", PLAN, text, None)
    with pytest.raises(UsageError, match="needs long text"):
        Feed(Stage(questions=0.5), "", PLAN, None, asked)


def test_teachers_read_the_same_context_or_none() -> None:
    sample = Sample(torch.arange(5), (Running(torch.tensor([7, 8, 9])),))
    cut = fixed_cut(5, TreeGeometry(8, 1, 2), 2)
    shown = make_batch([sample], [cut], teachers=True)
    assert shown.teachers[0].tolist() == [0, 1, 2, 3, 4, 7, 8, 9]
    assert make_batch([sample], (), teachers=True).teachers[0].tolist() == [7, 8, 9]
    assert Objective().distillation == 0
