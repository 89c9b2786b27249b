"""A model folder is complete or absent, whatever happens while it is made."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sharedcli.errors import ModelMissingError
from sharedcli.model.folders import publish_folder, read_manifest, verify_folder


def fill(work: Path, content: Path) -> dict[str, Any]:
    (work / "thrown-away").write_text("x")
    save_file({"a": torch.zeros(2)}, content / "model.safetensors")
    (content / "config.json").write_text("{}")
    return {"note": "made"}


def test_a_published_folder_has_a_manifest_that_fits(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "m"
    publish_folder(folder, fill, tmp_path)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest["note"] == "made"
    assert set(manifest["files"]) == {"model.safetensors", "config.json"}
    verify_folder(folder, manifest, tmp_path)
    assert sorted(path.name for path in folder.parent.iterdir()) == [".m.lock", "m"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(work: Path, content: Path) -> dict[str, Any]:
        fill(work, content)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        publish_folder(tmp_path / "m", fail, tmp_path)
    assert not (tmp_path / "m").exists()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_process_left_is_never_used_and_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from sharedcli.model.folders import publish_folder\n"
        "def fill(work, content):\n"
        "    (content / 'config.json').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "publish_folder(Path(sys.argv[1]) / 'm', fill, Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".m-*.partial"))) == 1
    assert read_manifest(tmp_path / "m") is None
    publish_folder(tmp_path / "m", fill, tmp_path)
    assert read_manifest(tmp_path / "m") is not None
    assert not list(tmp_path.glob(".m-*.partial"))


def test_an_incomplete_folder_in_its_place_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    publish_folder(folder, fill, tmp_path)
    (folder / "config.json").unlink()
    assert read_manifest(folder) is None
    publish_folder(folder, fill, tmp_path)
    assert (folder / "config.json").read_text() == "{}"


def test_a_complete_folder_is_left_alone(tmp_path: Path) -> None:
    publish_folder(tmp_path / "m", fill, tmp_path)

    def refuse(_work: Path, _content: Path) -> dict[str, Any]:
        raise AssertionError("made again")

    publish_folder(tmp_path / "m", refuse, tmp_path)


def test_a_full_disk_says_what_to_change(tmp_path: Path) -> None:
    def full(_work: Path, _content: Path) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    with pytest.raises(ModelMissingError, match=r"No space left on device.*SHAREDCLI_CACHE"):
        publish_folder(tmp_path / "m", full, tmp_path)
    assert not list(tmp_path.glob("*.partial"))
