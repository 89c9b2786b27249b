"""A store without some slots: what a question opens is made from its tokens, and is the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.engine.engine import Engine
from sharedcli.engine.opening import stored_tree
from sharedcli.engine.slots import read_context
from sharedcli.errors import CorruptionError
from sharedcli.model.compressor import Compressor
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.settings import Settings
from sharedcli.store.store import Store
from sharedcli.tree.frontier import fixed_path


@pytest.fixture
def engine(settings_for: Callable[..., Settings], tmp_path: Path) -> Any:
    (tmp_path / "day.txt").write_text((LAMP + BELL + TIDE) * 6, "utf-8")
    with Engine(settings_for(slot_format="recompute")) as engine:
        run_index(engine, tmp_path / "day.txt")
        yield engine


def _frontiers(engine: Engine) -> tuple[list[ChunkFrontier], dict[str, Any]]:
    (record,) = engine.documents()
    tree = stored_tree(engine.store(), record)
    assert tree.chunks > 2
    chunks = [0, tree.chunks - 1]  # not all: only what is opened is read again
    paths = [fixed_path(tree, chunk) for chunk in chunks]
    found = [
        ChunkFrontier(record.id, chunk, path, (1.0,) * len(path))
        for chunk, path in zip(chunks, paths, strict=True)
    ]
    return found, {record.id: tree}


def test_no_layers_are_laid_out_where_nothing_is_compressed(engine: Engine) -> None:
    assert "indexer" not in vars(engine.model())


def test_slots_are_the_compressors(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    frontiers, trees = _frontiers(engine)
    model = engine.model()
    compressor = Compressor(model.shared)
    read: list[int] = []
    encode = model.shared.encode
    monkeypatch.setattr(
        model.shared, "encode", lambda tokens, layers=None: (
            read.append(tokens.numel()), encode(tokens, layers)
        )[1],
    )  # fmt: skip
    made = read_context(engine.store(), frontiers, trees, torch.float32, compressor)
    (tree,) = trees.values()
    assert sum(read) <= sum(tree.root(one.chunk).tokens for one in frontiers) * tree.geometry.depth
    (record,) = engine.documents()
    ids = [engine.store().chunk_tokens(record.id, c).token_ids for c in range(tree.chunks)]
    whole = torch.cat([torch.from_numpy(part.astype("int64")) for part in ids])
    with torch.inference_mode():
        expected = compressor.compress_frontiers([whole], [tree], [[o.nodes for o in frontiers]])
    for field in fields(made):
        found, wanted = getattr(made, field.name), getattr(expected, field.name)
        if found is not None:
            torch.testing.assert_close(found, wanted)


def test_a_question_is_answered_and_little_is_stored(
    engine: Engine, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = replace(engine.settings, inject="always", abstain="never", max_tokens=4, passages=0)
    with Engine(settings) as asked:
        answer = asked.ask("What did the lighthouse keeper write?")
        "".join(answer)
        assert answer.usage.slots > 0
    small = engine.store().stats()
    assert small.blob_bytes < 200 * len(list(engine.documents())) * 50
    with Engine(settings_for(store=tmp_path / "other", slot_format="int4")) as whole:
        run_index(whole, tmp_path / "day.txt")
        assert whole.documents()[0].stored_bytes > engine.documents()[0].stored_bytes
    assert not engine.store().check().problems


def test_it_is_read_without_being_told(
    engine: Engine, settings_for: Callable[..., Settings]
) -> None:
    answers = []
    for form in ("recompute", "int4"):
        with Engine(settings_for(slot_format=form, inject="always", passages=0)) as other:
            answer = other.ask("What did the lighthouse keeper write?")
            answers.append(("".join(answer), answer.usage.slots))
    assert answers[0] == answers[1]
    assert answers[0][1] > 0


def test_tokens_that_the_model_does_not_have_are_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontiers, trees = _frontiers(engine)
    model = engine.model()
    kept = Store.chunk_tokens
    monkeypatch.setattr(
        Store,
        "chunk_tokens",
        lambda store, doc_id, index: replace(
            (found := kept(store, doc_id, index)), token_ids=found.token_ids + 10**6
        ),
    )
    with pytest.raises(CorruptionError, match=r"tokens that the model does not have; .*rm"):
        read_context(engine.store(), frontiers, trees, torch.float32, Compressor(model.shared))


def test_it_is_exported_and_imported(engine: Engine, tmp_path: Path) -> None:
    (record,) = engine.documents()
    engine.store().export(record.id, tmp_path / "day.tree")
    with Store.open(tmp_path / "elsewhere", create=True) as store:
        there = store.import_file(tmp_path / "day.tree")
        assert there.tokens == record.tokens
        assert store.identity(there.id) == engine.store().identity(record.id)
        assert not store.check().problems


def _opened(engine: Engine, level: int) -> tuple[list[ChunkFrontier], dict[str, Any]]:
    """Every chunk at one level."""
    (record,) = engine.documents()
    tree = stored_tree(engine.store(), record)
    found = [
        ChunkFrontier(record.id, chunk, tree.level(chunk, level), (1.0,) * 2**level)
        for chunk in range(tree.chunks)
    ]
    return found, {record.id: tree}


@pytest.mark.parametrize("slot_format", ["float32", "recompute"])
def test_levels_below_the_stored_ones_are_made_anew(
    settings_for: Callable[..., Settings],
    adapter_folder: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slot_format: str,
) -> None:
    (tmp_path / "day.txt").write_text((LAMP + BELL + TIDE) * 6, "utf-8")
    sizes = {"levels": "nested", "lead_tokens": 40, "stored_depth": 1, "depth": 3}
    sizes["strip_chunks"] = 1  # in strips, stored slots know more of what precedes their chunk
    adapter = adapter_folder(injected_layers=4)  # of one layer, slots see no lead
    with Engine(settings_for(adapter=adapter, slot_format=slot_format, **sizes)) as engine:
        run_index(engine, tmp_path / "day.txt")
        model, store = engine.model(), engine.store()
        compressor = Compressor(model.shared)
        (record,) = engine.documents()
        coarse, trees = _opened(engine, 1)
        fine, _ = _opened(engine, 3)
        mixed = [fine[0], *coarse[1:-1], fine[-1]]
        whole = torch.cat(
            [
                torch.from_numpy(store.chunk_tokens(record.id, c).token_ids.astype("int64"))
                for c in range(record.chunks)
            ]
        )
        read: list[int] = []
        encode = model.shared.encode
        monkeypatch.setattr(
            model.shared,
            "encode",
            lambda tokens, layers=None: (read.append(len(tokens)), encode(tokens, layers))[1],
        )
        for frontiers, again in ((coarse, 0), (mixed, 2), (fine, record.chunks)):
            read.clear()
            made = read_context(store, frontiers, trees, torch.float32, compressor)
            assert sum(read) == (record.chunks if slot_format == "recompute" else again)
            with torch.inference_mode():
                expected = compressor.compress_frontiers(
                    [whole], [trees[record.id]], [[one.nodes for one in frontiers]]
                )
            for field in fields(made):
                found, wanted = getattr(made, field.name), getattr(expected, field.name)
                if found is not None:
                    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_stored_slots_and_new_ones_meet_on_the_device_of_the_model(
    settings_for: Callable[..., Settings], adapter_folder: Callable[..., str], tmp_path: Path
) -> None:
    """On "meta", as on a GPU, tensors of the CPU cannot be joined with others."""
    (tmp_path / "day.txt").write_text((LAMP + BELL) * 4, "utf-8")
    sizes = {"levels": "nested", "lead_tokens": 40, "stored_depth": 1, "depth": 3}
    with Engine(settings_for(adapter=adapter_folder(injected_layers=4), **sizes)) as engine:
        run_index(engine, tmp_path / "day.txt")
        coarse, trees = _opened(engine, 1)
        fine, _ = _opened(engine, 3)
        shared = engine.model().shared
        elsewhere = SharedLLM(copy.deepcopy(shared.base).to("meta"), shared.adapter.to("meta"))
        for frontiers in ([fine[0], *coarse[1:]], coarse, fine):
            made = read_context(
                engine.store(), frontiers, trees, torch.float32, Compressor(elsewhere)
            )
            assert {getattr(made, f.name).device.type for f in fields(made)[:7]} == {"meta"}
            elsewhere.prepare(made)


def test_chunks_of_several_documents_are_read_together(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "night.txt").write_text((TIDE + LAMP) * 4, "utf-8")
    run_index(engine, tmp_path / "night.txt")
    store, compressor = engine.store(), engine.model().opener
    trees = {record.id: stored_tree(store, record) for record in engine.documents()}
    frontiers = [
        ChunkFrontier(doc_id, 1, path, (1.0,) * len(path))
        for doc_id, tree in trees.items()
        for path in [fixed_path(tree, 1)]
    ]
    alone = [
        read_context(store, [one], {one.doc_id: trees[one.doc_id]}, torch.float32, compressor)
        for one in frontiers
    ]
    calls: list[int] = []
    compress = compressor.compress_nodes

    def counted(contexts: Any, *rest: Any, **options: Any) -> Any:
        calls.append(len(contexts))
        return compress(contexts, *rest, **options)

    monkeypatch.setattr(compressor, "compress_nodes", counted)
    together = read_context(store, frontiers, trees, torch.float32, compressor)
    assert calls == [2]
    wanted = torch.cat([one.keys for one in alone], dim=3)
    assert not torch.allclose(alone[0].keys, alone[1].keys)
    torch.testing.assert_close(together.keys, wanted, atol=1e-4, rtol=1e-4)
