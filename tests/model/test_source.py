"""What a model's name can mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sharedcli.errors import ModelMissingError, SharedCLIError, UsageError
from sharedcli.model.source import resolve_model


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_names_of_the_default_model() -> None:
    for name in ("default", "smollm2-135m-instruct", "SmolLM2-135M-Instruct", " default "):
        source = resolve_model(name)
        assert (source.kind, source.model_id) == ("default", "smollm2-135m-instruct")


def test_folders_files_and_hub_ids(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    gguf = tmp_path / "m.GGUF"
    gguf.write_bytes(b"")
    assert resolve_model(str(folder)).kind == "folder"
    assert resolve_model(str(folder)).model_id == "my-model"
    assert resolve_model(str(gguf)).path == gguf.resolve()
    source = resolve_model("Owner/Some.Name-1B", revision="v2")
    assert (source.kind, source.model_id, source.revision) == ("hub", "Owner/Some.Name-1B", "v2")
    assert resolve_model("gpt2").kind == "hub"


def test_a_folder_that_exists_wins_over_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    (tmp_path / "owner" / "name" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert resolve_model("owner/name").kind == "folder"


@pytest.mark.parametrize("spec", ["./gone", "/gone/away", "~/gone", "gone.gguf", "a/b/c"])
def test_paths_where_nothing_is(spec: str) -> None:
    with pytest.raises(ModelMissingError, match="there is no model at"):
        resolve_model(spec)


def test_what_cannot_be_a_model(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="not a model file"):
        resolve_model(str(tmp_path / "weights.bin"))
    with pytest.raises(UsageError, match=r"no config\.json"):
        resolve_model(str(tmp_path))
    with pytest.raises(UsageError, match="is not a model"):
        resolve_model("two words")
    with pytest.raises(UsageError, match="--revision main is for Hugging Face ids"):
        resolve_model("default", revision="main")


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_environment_can_forbid_the_network(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    assert resolve_model("owner/name").offline is False
    assert resolve_model("owner/name", offline=True).offline is True
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert resolve_model("owner/name").offline is True


@given(st.text(max_size=40))
@example("~0")
def test_any_text_gives_a_source_or_a_clear_error(spec: str) -> None:
    try:
        resolve_model(spec)
    except SharedCLIError as error:
        assert str(error)
