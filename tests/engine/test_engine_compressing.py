"""How a document is shared out among threads, and what of it reaches the writer."""

from __future__ import annotations

import pytest
import torch

from sharedcli.engine import compressing
from sharedcli.engine.compressing import batches, stored_tensors
from sharedcli.model.compressor import ChunkSlots
from sharedcli.store.quantize import decode
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry


@pytest.mark.parametrize("tokens", [1, 64, 65, 640, 64 * 100])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_every_chunk_is_in_one_batch_and_short_documents_are_shared_out(
    tokens: int, workers: int
) -> None:
    tree = ContextTree(tokens, TreeGeometry(64, 2, 4))
    found = list(batches(tree, workers))
    assert [chunk for batch in found for chunk in batch] == list(range(tree.chunks))
    most = compressing.BATCH_TOKENS // 64
    assert max(len(batch) for batch in found) <= most
    assert len(found) >= min(workers, tree.chunks) / 2


def test_a_chunk_larger_than_a_batch_is_a_batch() -> None:
    tree = ContextTree(20_000, TreeGeometry(8192, 2, 4))
    assert list(batches(tree, 1)) == [[0], [1], [2]]


def test_names_and_formats_of_what_is_stored() -> None:
    keys, values = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 4, 8)
    slots = ChunkSlots({2: (keys, values)}, torch.randn(5, 16, dtype=torch.bfloat16))
    found = stored_tensors(slots, "int8")
    assert sorted(found) == ["level2.keys", "level2.values", "summaries"]
    assert found["summaries"].format == "float16"
    assert found["level2.keys"].format == "int8"
    assert torch.equal(decode(found["summaries"]), slots.summaries.to(torch.float16))
    assert (decode(found["level2.values"]) - values).abs().max() < 0.05
