"""How indexing reads the weights: what a tree says of it, and that every way serves every other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine_samples import LAMP, run_index

from sharedcli.engine import loading
from sharedcli.engine.engine import Engine
from sharedcli.engine.loading import load_model
from sharedcli.errors import UsageError
from sharedcli.model.eight_bits import has_eight_bit_products
from sharedcli.settings import Settings

needs_kernels = pytest.mark.skipif(
    not has_eight_bit_products(torch.device("cpu"), torch.float32),
    reason="this processor or torch has no such kernels",
)


@needs_kernels
@pytest.mark.parametrize(("first", "second"), [("int8", "plain"), ("plain", "int8")])
def test_a_tree_serves_whoever_reads_the_weights_otherwise(
    settings_for: Callable[..., Settings],
    adapter_folder: Callable[..., str],
    tmp_path: Path,
    first: str,
    second: str,
) -> None:
    adapter = adapter_folder(injected_layers=4)
    file = tmp_path / "day.txt"
    file.write_text(LAMP * 6, "utf-8")
    names = {"int8": "merged-int8", "plain": "merged"}
    read = {}
    for own, other in ((first, second), (second, first)):
        store = tmp_path / own
        changes = {"adapter": adapter, "store": store, "inject": "always"}
        with Engine(settings_for(index_weights=own, **changes)) as engine:
            run_index(engine, file)
            (record,) = engine.documents()
            assert engine.store().identity(record.id).compressor == names[own]
            read[own] = engine.store().read_chunk(record.id, 0)["level2.values"]
        with Engine(settings_for(index_weights=other, **changes)) as engine:
            assert run_index(engine, file)["done"][0].counts.unchanged == 1
            assert engine.ask("When is the lamp lit?").found
    distance = float((read["int8"] - read["plain"]).norm() / read["plain"].norm())
    assert 0 < distance < 0.1


def test_asked_for_where_it_cannot_be(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "has_eight_bit_products", lambda *_: False)
    settings = settings_for(index_weights="int8")
    with pytest.raises(UsageError, match=r"--index-weights int8 needs .*; use auto"):
        load_model(settings).tree_identity(settings, "none")


def test_small_models_are_read_as_they_are(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    model = load_model(settings)
    assert not model.in_eight_bits
    assert model.tree_identity(settings, "none").compressor == "merged"
