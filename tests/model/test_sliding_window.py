"""Layers that see a window of tokens alone."""

from __future__ import annotations

from typing import Any

import pytest
from shared_samples import attached, compress, ids, small_base

from sharedcli.errors import UsageError
from sharedcli.model.compressor import Compressor
from sharedcli.model.sliding_window import seen_at_once
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path
from sharedcli.tree.geometry import TreeGeometry


@pytest.mark.parametrize("architecture", ["Mistral", "Qwen2"])
def test_a_node_longer_than_a_sliding_window_is_refused(architecture: str) -> None:
    window: dict[str, Any] = {"sliding_window": 8}
    if architecture == "Qwen2":
        window |= {"use_sliding_window": True, "max_window_layers": 0}
    base = small_base(architecture, **window)
    with attached(base, geometry=TreeGeometry(16, 1, 2)) as model:
        compress(model, ids(16))  # nodes of eight tokens fit
        with pytest.raises(UsageError, match=r"window of 8 tokens only; use smaller chunks"):
            model.encode(ids(9)[None])
        with pytest.raises(UsageError, match="10 tokens cannot be compressed at once"):
            tree = ContextTree(20, TreeGeometry(20, 1, 2))
            Compressor(model).compress_frontiers([ids(20)], [tree], [[fixed_path(tree, 0)]])


def test_a_window_above_the_compressors_layers_is_no_obstacle() -> None:
    base = small_base("Qwen2", sliding_window=8, use_sliding_window=True, max_window_layers=2)
    with attached(base, injected_layers=2) as model:
        assert model.encode(ids(16)[None]).keys.shape[3] == 16


def test_the_shortest_window_of_the_lowest_layers_counts() -> None:
    none = small_base()
    assert seen_at_once(none, len(none.model.layers)) is None
    some = small_base("Qwen2", sliding_window=8, use_sliding_window=True, max_window_layers=2)
    assert [seen_at_once(some, layers) for layers in (2, 3)] == [None, 8]
    assert seen_at_once(small_base("Mistral", sliding_window=8), 1) == 8
