"""Digests follow content: not names of files, shards, order or metadata."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sharedcli.errors import CorruptionError
from sharedcli.model import digests
from sharedcli.model.digests import file_sha256, weights_sha256

A, B = torch.arange(6.0).reshape(2, 3), torch.ones(4, dtype=torch.bfloat16)


def write(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    save_file(tensors, path, metadata=metadata)
    return path


def test_shards_and_metadata_do_not_matter(tmp_path: Path, cache: Path) -> None:
    whole = write(tmp_path / "whole.safetensors", {"a": A, "b": B}, format="pt")
    first = write(tmp_path / "1.safetensors", {"b": B})
    second = write(tmp_path / "2.safetensors", {"a": A}, made="today")
    expected = weights_sha256([whole], cache)
    assert weights_sha256([first, second], cache) == expected
    assert weights_sha256([second, first], None) == expected


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": A, "c": B},
        {"a": A},
        {"a": A.reshape(3, 2), "b": B},
        {"a": A.view(torch.int32), "b": B},
        {"a": A + torch.tensor([[0, 0, 0], [0, 0, 1e-6]]), "b": B},
    ],
)
def test_names_shapes_types_and_values_do(
    tmp_path: Path, cache: Path, tensors: dict[str, torch.Tensor]
) -> None:
    one = write(tmp_path / "one.safetensors", {"a": A, "b": B})
    other = write(tmp_path / "other.safetensors", tensors)
    assert weights_sha256([one], cache) != weights_sha256([other], cache)


def test_a_file_is_read_again_only_when_it_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, path = tmp_path / "cache", tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    assert file_sha256(path, cache) == hashlib.sha256(b"one").hexdigest()
    monkeypatch.setattr(digests, "_hash_bytes", lambda _path: "read again")
    assert file_sha256(path, cache) == hashlib.sha256(b"one").hexdigest()
    os.utime(path, ns=(2, 2))
    assert file_sha256(path, cache) == "read again"


def test_a_damaged_note_or_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    cache, path = tmp_path / "cache", tmp_path / "file"
    path.write_bytes(b"one")
    expected = file_sha256(path, cache)
    for note in (cache / "digests").iterdir():
        note.write_bytes(b"\xff[")
    assert file_sha256(path, cache) == expected
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the cache should be")
    assert file_sha256(path, blocked) == expected


@pytest.mark.parametrize("cut", [0, 7, 20, 100])
def test_a_cut_file_is_corrupt(tmp_path: Path, cache: Path, cut: int) -> None:
    path = write(tmp_path / "cut.safetensors", {"a": A, "b": B})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CorruptionError, match=r"cut\.safetensors"):
        weights_sha256([path], cache)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"\xff\xff", b'{"a":{}}', b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-9,4]}}'],
)
def test_a_strange_header_is_corrupt(tmp_path: Path, cache: Path, header: bytes) -> None:
    path = tmp_path / "strange.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CorruptionError, match=r"strange\.safetensors"):
        weights_sha256([path], cache)
