"""How a document is shared out among threads, and what of it reaches the writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine_samples import LAMP, run_index

from sharedcli.engine import compressing
from sharedcli.engine.compressing import batches, stored_tensors
from sharedcli.engine.engine import Engine
from sharedcli.model.node_slots import ChunkSlots
from sharedcli.settings import Settings
from sharedcli.store.quantize import decode
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry


@pytest.mark.parametrize("tokens", [1, 64, 65, 640, 64 * 100])
def test_every_chunk_is_in_one_batch(tokens: int) -> None:
    tree = ContextTree(tokens, TreeGeometry(64, 2, 4))
    found = list(batches(tree))
    assert [chunk for batch in found for chunk in batch] == list(range(tree.chunks))
    assert max(len(batch) for batch in found) <= compressing.BATCH_TOKENS // 64


def test_a_chunk_larger_than_a_batch_is_a_batch() -> None:
    tree = ContextTree(20_000, TreeGeometry(8192, 2, 4))
    assert list(batches(tree)) == [[0], [1], [2]]


@pytest.mark.parametrize("parallel", [True, False])
def test_the_same_document_gives_the_same_bytes(
    parallel: bool,
    settings_for: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.txt").write_text(LAMP * 40)
    found = []
    monkeypatch.setattr(compressing, "BATCH_TOKENS", 256)
    for name in ("one", "two"):
        with Engine(settings_for(store=tmp_path / name)) as engine:
            monkeypatch.setattr(type(engine.model()), "merges", property(lambda _self: parallel))
            run_index(engine, tmp_path / "a.txt")
        blobs = sorted((tmp_path / name / "blobs").rglob("*.safetensors"))
        found.append([path.read_bytes() for path in blobs])
    assert found[0] == found[1]
    assert found[0]


def test_names_and_formats_of_what_is_stored() -> None:
    keys, values = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 4, 8)
    slots = ChunkSlots({2: (keys, values)}, torch.randn(5, 16, dtype=torch.bfloat16))
    found = stored_tensors(slots, "int8")
    assert sorted(found) == ["level2.keys", "level2.values", "summaries"]
    assert found["summaries"].format == "float16"
    assert found["level2.keys"].format == "int8"
    assert torch.equal(decode(found["summaries"]), slots.summaries.to(torch.float16))
    assert (decode(found["level2.values"]) - values).abs().max() < 0.05
