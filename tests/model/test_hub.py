"""Hub models from a cache that is laid out as the hub's client lays it out. No network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from sharedcli.errors import ModelMissingError, UsageError
from sharedcli.model import hub
from sharedcli.model.base import load_base
from sharedcli.model.source import ModelSource

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def cached_model(hub_cache: Path, tiny_folder: Callable[[str], Path]) -> Path:
    """``owner/tiny`` in the cache, as its branch main."""
    repo = hub_cache / "models--owner--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    return Path(shutil.copytree(tiny_folder("qwen3"), repo / "snapshots" / COMMIT))


@pytest.mark.usefixtures("cached_model")
@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_cached_model_loads_offline(
    revision: str | None, cache: Path, tiny_base: Callable[..., Any]
) -> None:
    base = load_base(
        "owner/tiny", revision=revision, offline=True, device="cpu", dtype="float32", cache=cache
    )
    assert base.identity.model_id == "owner/tiny"
    assert base.identity.weights_sha256 == tiny_base("qwen3").identity.weights_sha256


@pytest.mark.usefixtures("cached_model")
def test_what_is_not_cached_says_what_to_do() -> None:
    for spec, revision in (("owner/other", None), ("owner/tiny", "v9")):
        with pytest.raises(ModelMissingError, match=r"not in the Hugging Face cache.*--model"):
            load_base(spec, revision=revision, offline=True, device="cpu")


def test_a_model_of_another_style_is_refused_before_its_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def download(_repo: str, *, allow_patterns: list[str], **_options: Any) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    def check(_folder: Path) -> None:
        raise UsageError("not that style")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(UsageError, match="not that style"):
        hub.snapshot(ModelSource("hub", "owner/name"), check)
    assert len(asked) == 1
    assert not any("safetensors" in pattern for pattern in asked[0])


def test_pickles_and_code_are_never_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fnmatch import fnmatch

    asked: list[str] = []

    def download(_repo: str, *, allow_patterns: list[str], **_options: Any) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hub.snapshot(ModelSource("hub", "owner/name"), lambda _folder: None) == tmp_path
    for name in ("pytorch_model.bin", "model.pt", "modeling.py", "model.pkl", "weights.pth"):
        assert not any(fnmatch(name, pattern) for pattern in asked)
    for name in ("model-00001-of-00002.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert any(fnmatch(name, pattern) for pattern in asked)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("GatedRepoError", "needs a licence to be accepted"),
        ("RepositoryNotFoundError", "has no model owner/name"),
        ("RevisionNotFoundError", "has no revision v1; check --revision"),
        ("HfHubHTTPError", "could not be fetched from the hub"),
    ],
)
def test_refusals_of_the_hub_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, kind: str, hint: str
) -> None:
    error_class = getattr(errors, kind)
    error = error_class.__new__(error_class)

    def download(*_args: Any, **_options: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ModelMissingError, match=hint):
        hub.snapshot(ModelSource("hub", "owner/name", revision="v1"), lambda _folder: None)
