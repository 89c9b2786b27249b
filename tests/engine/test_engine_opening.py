"""Opening: slots go to the chunks that hold the best passages, and the budget is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.engine.engine import Engine
from sharedcli.engine.opening import CHUNK_PASSAGES, open_frontiers, stored_tree, unquoted
from sharedcli.retrieve.rank import WINDOW_MARGIN, RankedPassage
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.settings import Settings
from sharedcli.store import reading
from sharedcli.store.records import Passage
from sharedcli.tree.frontier import is_partition
from sharedcli.tree.geometry import TreeGeometry


@pytest.fixture
def engine(settings_for: Callable[..., Settings], tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "a.txt").write_text(LAMP + BELL * 3 + TIDE, "utf-8")
    (tmp_path / "b.txt").write_text(TIDE * 2, "utf-8")
    with Engine(settings_for()) as opened:
        run_index(opened, tmp_path / "a.txt", tmp_path / "b.txt")
        yield opened


def _hit(engine: Engine, name: str, words: str, score: float = 1.0) -> RankedPassage:
    (record,) = engine.documents([name])
    start = engine.store().load_document(record.id).text.index(words)
    return RankedPassage(record.id, Passage(0, 1, start, start + len(words)), score)


def _open(engine: Engine, *hits: RankedPassage, budget: int) -> list[ChunkFrontier]:
    return open_frontiers(engine.store(), hits, engine.documents(), budget)[0]


def test_the_tree_is_the_one_that_was_stored(engine: Engine) -> None:
    for record in engine.documents():
        tree = stored_tree(engine.store(), record)
        assert tree.geometry == TreeGeometry(64, 2, 4)
        assert (tree.tokens, tree.chunks) == (record.tokens, record.chunks)


def test_the_chunks_that_hold_a_passage_are_opened(engine: Engine) -> None:
    hit = _hit(engine, "a.txt", TIDE.strip())
    (record,) = engine.documents(["a.txt"])
    touched = [
        chunk.index
        for chunk in engine.store().chunks(record.id)
        if chunk.char_start < hit.passage.end + WINDOW_MARGIN
        and chunk.char_end > hit.passage.start - WINDOW_MARGIN
    ]
    assert 0 < len(touched) < record.chunks
    opened = _open(engine, hit, budget=10_000)
    assert [one.chunk for one in opened] == touched
    assert {one.doc_id for one in opened} == {record.id}
    tree = stored_tree(engine.store(), record)
    assert all(is_partition(tree, one.chunk, one.nodes) for one in opened)


def test_a_budget_is_never_exceeded_and_spent_on_the_best(engine: Engine) -> None:
    best = _hit(engine, "a.txt", "colza oil", 1.0)
    other = _hit(engine, "b.txt", "Spring tides", 0.3)
    trees = {record.id: stored_tree(engine.store(), record) for record in engine.documents()}
    for budget in range(0, 60, 3):
        opened = _open(engine, best, other, budget=budget)
        assert sum(one.slots(trees[one.doc_id]) for one in opened) <= budget
        if budget >= 8:
            assert best.doc_id in {one.doc_id for one in opened}
    everything = _open(engine, best, other, budget=100)
    in_order = list(dict.fromkeys(one.doc_id for one in everything))
    assert in_order == [best.doc_id, other.doc_id]  # as ranked
    assert everything[0].score > everything[-1].score


def test_only_the_best_passages_may_open_chunks(engine: Engine) -> None:
    best = _hit(engine, "b.txt", "Spring tides", 0.9)
    late = _hit(engine, "a.txt", "colza oil", 0.1)
    in_time = _open(engine, *[best] * (CHUNK_PASSAGES - 1), late, budget=10_000)
    too_late = _open(engine, *[best] * CHUNK_PASSAGES, late, budget=10_000)
    assert {one.doc_id for one in in_time} == {best.doc_id, late.doc_id}
    assert {one.doc_id for one in too_late} == {best.doc_id}


def test_nothing_found_opens_nothing(engine: Engine) -> None:
    frontiers, trees = open_frontiers(engine.store(), [], engine.documents(), 1000)
    assert frontiers == []
    assert trees == {}


def test_no_tensor_and_no_model_is_needed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a tensor was read, or a model loaded")

    monkeypatch.setattr(reading, "read_tensors", refuse)
    monkeypatch.setattr("sharedcli.engine.loading.load_model", refuse)
    question = "How much colza oil did the lamp burn?"
    with Engine(engine.settings) as other:
        opened = other.open_nodes(question)
        assert opened[0].doc_id == engine.documents(["a.txt"])[0].id


def test_what_is_quoted_is_not_opened_unless_told(engine: Engine) -> None:
    ranked = [RankedPassage(f"{n}", Passage(n, 1, 0, 10), 1 / (n + 1)) for n in range(4)]
    for passages, inject, kept in (
        (3, "auto", [3]), (0, "auto", [0, 1, 2, 3]), (9, "auto", []), (3, "always", [0, 1, 2, 3]),
    ):  # fmt: skip
        found = unquoted(ranked, replace(engine.settings, passages=passages, inject=inject))
        assert [one.passage.ordinal for one in found] == kept


def test_the_nodes_above_the_passage_are_the_finest(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "c.txt").write_text(LAMP + BELL * 9, "utf-8")
    with Engine(settings_for(chunk_tokens=256)) as engine:
        run_index(engine, tmp_path / "c.txt")
        (first,) = _open(engine, _hit(engine, "c.txt", "The lighthouse keeper"), budget=12)
    assert first.chunk == 0
    assert [node.level for node in first.nodes] == [2, 2, 1]
    assert first.relevance[0] > first.relevance[-1]
