"""Who makes the trees is remembered exactly as long as nothing that it depends on has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sharedcli.engine.engine import Engine
from sharedcli.engine.remembered import Rates, recall, recall_rates, remember, remember_rates
from sharedcli.settings import Settings


@pytest.fixture
def settings(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Settings:
    model = tmp_path / "model"
    shutil.copytree(tiny_folder("llama"), model)
    return Settings(
        store=tmp_path / "store",
        cache=tmp_path / "cache",
        model=str(model),
        device="cpu",
        dtype="float32",
        adapter="none",
        offline=True,
        chunk_tokens=64,
        depth=2,
        slots_per_node=4,
    )


@pytest.fixture
def loaded(settings: Settings) -> Settings:
    with Engine(settings) as engine:
        engine.identity()
    return settings


def test_what_is_remembered_is_what_was_loaded(settings: Settings) -> None:
    assert recall(settings) is None
    with Engine(settings) as engine:
        engine.model()
        identity = engine.identity()
    assert recall(settings) == identity
    assert recall(replace(settings, store=Path("elsewhere"), budget=7)) == identity


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "bfloat16"},
        {"quantization": "bnb-8bit"},
        {"chunk_tokens": 128},
        {"depth": 1},
        {"slot_format": "int8"},
        {"index_weights": "plain"},
        {"adapter": None},
        {"adapter": "somewhere"},
        {"offline": False},
    ],
)
def test_other_settings_are_not_known(loaded: Settings, change: dict[str, object]) -> None:
    assert recall(loaded) is not None
    assert recall(replace(loaded, **change)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_file_is_noticed_even_with_its_old_size_and_time(
    loaded: Settings, name: str
) -> None:
    file = Path(loaded.model, name)
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert recall(loaded) is None


def test_a_changed_adapter_is_noticed(loaded: Settings, tmp_path: Path) -> None:
    with Engine(loaded) as engine:
        engine.model().shared.adapter.save(tmp_path / "adapter")
    given = replace(loaded, adapter=str(tmp_path / "adapter"))
    with Engine(given) as engine:
        identity = engine.identity()
    assert recall(given) == identity
    config = tmp_path / "adapter" / "adapter.json"
    config.write_text(config.read_text().replace('"sink_tokens": 1', '"sink_tokens": 0'))
    assert recall(given) is None
    with Engine(given) as engine:
        assert engine.identity().adapter != identity.adapter


def test_files_that_change_during_the_load_are_not_remembered(loaded: Settings) -> None:
    identity = recall(loaded)
    assert identity is not None
    shutil.rmtree(loaded.cache / "identities")
    remember(loaded, {"another": "state"}, identity)
    assert recall(loaded) is None


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"fingerprint": 1}', None])
def test_a_damaged_note_counts_as_none(loaded: Settings, damage: str | None) -> None:
    (note,) = (loaded.cache / "identities").iterdir()
    content = json.loads(note.read_text())
    content["identity"]["weights"] = "0" * 64
    note.write_text(json.dumps(content) if damage is None else damage)
    assert recall(loaded) is None


def test_rates(loaded: Settings) -> None:
    identity = recall(loaded)
    assert identity is not None
    assert recall_rates(loaded, identity) is None
    remember_rates(loaded, identity, Rates(100.0, 50.0, 4.2))
    assert recall_rates(loaded, identity) == Rates(100.0, 50.0, 4.2)
    assert recall_rates(loaded, replace(identity, slot_format="int8")) is None
    remember_rates(loaded, identity, Rates(100.0, 0.0, 4.2))
    assert recall_rates(loaded, identity) is None
