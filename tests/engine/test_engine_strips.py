"""Documents that are indexed in strips: what is stored, and what older trees are worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.engine.engine import Engine
from sharedcli.engine.opening import stored_tree
from sharedcli.engine.threads import worker_count
from sharedcli.settings import Settings

SIZES: dict[str, Any] = {"levels": "nested", "lead_tokens": 40}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "day.txt"
    path.write_text((LAMP + BELL + TIDE) * 6, "utf-8")
    return path


@pytest.mark.parametrize("strip_chunks", [None, 2, 1])
def test_what_is_stored_was_read_strip_by_strip(
    settings_for: Callable[..., Settings],
    adapter_folder: Callable[..., str],
    file: Path,
    strip_chunks: int | None,
) -> None:
    adapter = adapter_folder(injected_layers=4)  # of one layer, slots see no other token
    with Engine(settings_for(adapter=adapter, strip_chunks=strip_chunks, **SIZES)) as engine:
        run_index(engine, file)
        (record,) = engine.documents()
        store, tree = engine.store(), stored_tree(engine.store(), record)
        assert tree.geometry.strip_chunks == (strip_chunks or 8)
        tree = tree.shared_among(worker_count(parallel=True))
        strips = list(tree.strips(range(record.chunks)))
        assert len(strips) >= min(record.chunks, worker_count(parallel=True))
        ids = [store.chunk_tokens(record.id, chunk).token_ids for chunk in range(record.chunks)]
        tokens = torch.cat([torch.from_numpy(one.astype("int64")) for one in ids])
        indexer = engine.model().indexer
        for strip in strips:
            for chunk, slots in zip(
                strip, indexer.compress_stored(tokens, tree, strip), strict=True
            ):
                kept = store.read_chunk(record.id, chunk)
                keys, values = slots.levels[2]
                torch.testing.assert_close(kept["level2.keys"], keys, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(kept["level2.values"], values, atol=1e-4, rtol=1e-4)


def test_a_tree_is_not_made_anew_for_other_strips(
    settings_for: Callable[..., Settings], file: Path
) -> None:
    with Engine(settings_for(strip_chunks=1, **SIZES)) as engine:
        assert run_index(engine, file)["done"][0].counts.new == 1
        (before,) = engine.documents()
    with Engine(settings_for(**SIZES)) as engine:
        assert run_index(engine, file)["done"][0].counts.unchanged == 1
        assert [one.identity for one in engine.documents()] == [before.identity]
        assert engine.ask("When is the lamp lit?").found
        file.write_text(file.read_text("utf-8") + BELL, "utf-8")
        assert run_index(engine, file)["done"][0].counts.changed == 1
        (after,) = engine.documents()
        assert stored_tree(engine.store(), after).geometry.strip_chunks == 8
    with Engine(settings_for(slot_format="int8", **SIZES)) as engine:
        assert run_index(engine, file)["done"][0].counts.changed == 1
