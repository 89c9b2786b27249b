"""Loading: which adapter, which geometry, and who makes the trees."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sharedcli.engine import loading
from sharedcli.engine.loading import LoadedModel, load_model
from sharedcli.errors import ModelMismatchError, UnreadableError, UsageError
from sharedcli.model.compressor import Compressor
from sharedcli.settings import Settings
from sharedcli.store.identity import TreeIdentity
from sharedcli.tree.geometry import TreeGeometry

DEFAULTS = {"chunk_tokens": None, "depth": None, "slots_per_node": None}


@pytest.fixture
def load(settings_for: Callable[..., Settings]) -> Callable[..., LoadedModel]:
    return lambda **changes: load_model(settings_for(**changes))


# --- adapters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", ["none", None])
def test_without_an_adapter_injection_is_the_papers_and_untrained(
    load: Callable[..., LoadedModel], adapter: str | None
) -> None:
    """None: the package ships no adapter for a random base."""
    model = load(adapter=adapter)
    assert (model.adapter_name, model.adapter_sha256) == ("none", "none")
    assert not model.trained
    assert model.shared.config.form == "cross"
    assert model.shared.injected_layers == 4 * 2 // 5
    assert all(not cross.gate.any() for cross in model.shared.adapter.cross)


def test_an_adapter_that_is_named(
    load: Callable[..., LoadedModel], adapter_folder: Callable[..., str]
) -> None:
    folder = adapter_folder(steps=3)
    model = load(adapter=folder)
    assert model.adapter_name == folder
    assert model.trained
    assert model.adapter_sha256 == model.shared.adapter.digest()
    assert model.adapter_sha256 != load(adapter=adapter_folder(steps=0)).adapter_sha256


def test_an_adapter_that_is_not_there(load: Callable[..., LoadedModel], tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="cannot read the adapter"):
        load(adapter=str(tmp_path / "absent"))


def test_an_adapter_of_another_base(
    load: Callable[..., LoadedModel], adapter_folder: Callable[..., str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(adapter_folder(), other)
    config = other / "adapter.json"
    config.write_text(config.read_text().replace('"vocabulary": 300', '"vocabulary": 301'))
    with pytest.raises(ModelMismatchError, match="vocabulary"):
        load(adapter=str(other))


@pytest.mark.parametrize("fits", [True, False])
def test_the_adapter_that_ships_is_for_exactly_its_base(
    load: Callable[..., LoadedModel],
    adapter_folder: Callable[..., str],
    tiny_base: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fits: bool,
) -> None:
    weights = tiny_base("llama").identity.weights_sha256
    made_for = weights if fits else "0" * 64
    shutil.copytree(
        adapter_folder(steps=7, base={"weights_sha256": made_for}), tmp_path / "package" / "one"
    )
    (tmp_path / "package" / "__init__.py").touch()
    monkeypatch.setattr(loading, "files", lambda _package: tmp_path / "package")
    model = load(adapter=None)
    assert model.adapter_name == ("default" if fits else "none")
    assert model.trained == fits
    assert load(adapter="none").adapter_name == "none"


# --- geometry ---------------------------------------------------------------------------------


def test_the_geometry_is_the_adapters_unless_changed(
    load: Callable[..., LoadedModel],
    adapter_folder: Callable[..., str],
    settings_for: Callable[..., Settings],
) -> None:
    trained = TreeGeometry(256, 3, 8, "nested", "last")
    model = load(adapter=adapter_folder(geometry=trained))

    def geometry(**changes: Any) -> TreeGeometry:
        return model.geometry(settings_for(**{**DEFAULTS, **changes}))

    assert geometry() == trained
    assert geometry(depth=2, levels="per_node") == replace(trained, depth=2, levels="per_node")
    assert geometry(slots_per_node=5) == replace(trained, slots_per_node=5)
    # The ratio stays when the chunk size changes, in both directions.
    assert geometry(chunk_tokens=1024) == replace(trained, chunk_tokens=1024, slots_per_node=32)
    assert geometry(chunk_tokens=32) == replace(trained, chunk_tokens=32, slots_per_node=1)
    assert geometry(chunk_tokens=8) == replace(trained, chunk_tokens=8, slots_per_node=1)
    both = geometry(chunk_tokens=512, slots_per_node=4)
    assert both == replace(trained, chunk_tokens=512, slots_per_node=4)
    for small in (32, 64, 128, 1024):
        assert geometry(chunk_tokens=small).overall_ratio == trained.overall_ratio


def test_geometries_that_cannot_be(
    load: Callable[..., LoadedModel], settings_for: Callable[..., Settings]
) -> None:
    model = load()
    for changes, told in (
        ({"chunk_tokens": 8192}, "exceed the model's window of 4096; use --chunk-tokens 4096"),
        ({"chunk_tokens": 4}, "too small for depth 3"),
        ({"slots_per_node": 1000}, "too small for depth 3"),
        ({"slot_choice": "pooled"}, "--slot-choice pooled"),
    ):
        with pytest.raises(UsageError, match=told):
            model.geometry(settings_for(**{**DEFAULTS, **changes}))


def test_chunks_are_read_in_strips_where_that_is_possible(
    load: Callable[..., LoadedModel],
    adapter_folder: Callable[..., str],
    settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = TreeGeometry(256, 3, 8, "nested", "last", lead_tokens=128)
    model = load(adapter=adapter_folder(geometry=trained))

    def strip(**changes: Any) -> int:
        return model.geometry(settings_for(**{**DEFAULTS, **changes})).strip_chunks

    assert strip() == loading.STRIP_CHUNKS
    assert strip(strip_chunks=3) == 3
    assert strip(strip_chunks=1) == 1
    assert strip(lead_tokens=0) == strip(levels="per_node") == 1
    # window: 4,096 tokens, 128 of them for the lead
    assert strip(chunk_tokens=1024) == 3
    assert strip(chunk_tokens=3000) == 1
    with pytest.raises(UsageError, match=r"16 chunks are 4160 .* use a smaller --strip-chunks"):
        strip(strip_chunks=16)
    with pytest.raises(UsageError, match="need nested levels and a lead"):
        strip(strip_chunks=2, lead_tokens=0)
    for layer in model.base.model.model.layers:
        monkeypatch.setattr(layer.self_attn, "sliding_window", 700, raising=False)
    assert strip() == 2
    monkeypatch.setitem(model.__dict__, "merges", False)
    assert strip() == 1
    with pytest.raises(UsageError, match="leave --strip-chunks out"):
        strip(strip_chunks=2)
    assert strip(strip_chunks=1) == 1


def test_pooling_is_for_adapters_that_learned_it(
    load: Callable[..., LoadedModel],
    adapter_folder: Callable[..., str],
    settings_for: Callable[..., Settings],
) -> None:
    pooled = TreeGeometry(64, 2, 4, "per_node", "pooled")
    model = load(adapter=adapter_folder(geometry=pooled))
    assert model.geometry(settings_for(slot_choice="pooled")) == pooled
    assert model.geometry(settings_for(slot_choice="mean")).slot_choice == "mean"


@pytest.mark.parametrize("window", [16, 100, 512, 1000])
def test_a_small_window_gets_small_chunks(
    settings_for: Callable[..., Settings], window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharedcli.model.base import Base

    monkeypatch.setattr(Base, "window", window)
    geometry = load_model(settings_for()).geometry(settings_for(**DEFAULTS))
    assert window / 4 < geometry.chunk_tokens <= window


# --- identity ---------------------------------------------------------------------------------


def test_the_identity_tells_everything_that_trees_depend_on(
    load: Callable[..., LoadedModel],
    adapter_folder: Callable[..., str],
    settings_for: Callable[..., Settings],
) -> None:
    def identity(encoder: str = "enc", **changes: Any) -> TreeIdentity:
        settings = settings_for(**changes)
        return load_model(settings).tree_identity(settings, encoder)

    first = identity()
    assert first == identity(budget=7, max_tokens=3, inject="always", temperature=1.0, passages=1)
    others = [
        identity("none"),
        identity(dtype="bfloat16"),
        identity(slot_format="int4"),
        identity(chunk_tokens=128),
        identity(depth=1),
        identity(slots_per_node=2),
        identity(levels="nested"),
        identity(slot_choice="mean"),
        identity(adapter=adapter_folder()),
        identity(adapter=adapter_folder(injected_layers=3)),
    ]
    assert len({one.digest for one in [first, *others]}) == 1 + len(others)
    assert first.injected_layers == 1
    assert first.key_position == "unrotated"
    assert first.quantization == "none"


def test_layers_are_kept_for_several_questions_unless_they_are_large(
    load: Callable[..., LoadedModel],
    adapter_folder: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = adapter_folder()
    assert not is_kept(load(adapter=adapter).opener)
    model = load(adapter=adapter)
    assert not is_kept(model.opener)
    model.lay_out()  # afterwards, too
    assert is_kept(model.opener)
    assert model.opener is model.indexer
    cannot = load(adapter=adapter, index_weights="int8")
    monkeypatch.setitem(cannot.__dict__, "merges", False)
    cannot.lay_out()  # which no question needs to know of
    assert cannot.opener.merged is None
    monkeypatch.setattr(loading, "_LAID_OUT_BYTES", 1000)
    large = load(adapter=adapter)
    large.lay_out()
    assert not is_kept(large.opener)


def is_kept(compressor: Compressor) -> bool:
    return compressor.merged is not None and compressor.merged._layers is not None
