"""Files named by their digest, and headers that lie."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from sharedcli.errors import CorruptionError
from sharedcli.store.blobs import BlobFiles, parse_header
from sharedcli.store.digests import digest, is_sha256


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFiles:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "blobs").mkdir()
    return BlobFiles(tmp_path)


def test_blobs_are_found_by_their_digest(blobs: BlobFiles, tmp_path: Path) -> None:
    name = blobs.write(b"hello world")
    assert blobs.path(name) == tmp_path / "blobs" / name[:2] / f"{name}.safetensors"
    assert blobs.read(name, 11, [(0, 5), (6, 5)]) == [b"hello", b"world"]
    blobs.verify(name, 11)
    assert [found for found, _ in blobs.all()] == [name]
    assert blobs.remove(name) == 11
    assert blobs.remove(name) == 0


def test_writing_again_repairs(blobs: BlobFiles) -> None:
    name = blobs.write(b"hello")
    blobs.path(name).write_bytes(b"jello")
    with pytest.raises(CorruptionError, match="digest"):
        blobs.verify(name, 5)
    assert blobs.write(b"hello") == name
    blobs.verify(name, 5)


def test_nothing_outside_of_a_blob_is_read(blobs: BlobFiles) -> None:
    name = blobs.write(b"hello")
    for span in [(-1, 2), (0, 6), (6, 0), (0, -1)]:
        with pytest.raises(CorruptionError, match="outside"):
            blobs.read(name, 5, [span])
    with pytest.raises(CorruptionError, match="instead of"):
        blobs.read(name, 6, [(0, 1)])


@pytest.mark.parametrize("name", ["../" * 21 + "x", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_digests_become_file_names(blobs: BlobFiles, name: str) -> None:
    assert not is_sha256(name)
    with pytest.raises(CorruptionError):
        blobs.path(name)


def test_foreign_files_are_not_ours(blobs: BlobFiles, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "ab").mkdir()
    (tmp_path / "blobs" / "ab" / "model.safetensors").touch()
    (tmp_path / "blobs" / "ab" / ("cd" + "0" * 62 + ".safetensors")).touch()
    (tmp_path / "tmp" / "notes.part").touch()
    assert list(blobs.all()) == []
    assert list(blobs.parts()) == []


def test_the_header_gives_the_place_of_each_tensor() -> None:
    tensors = {"a": torch.arange(5.0), "b": torch.ones(3, dtype=torch.int8)}
    data = save(tensors, metadata={"k": "v"})
    found = parse_header(data)
    assert found.keys() == tensors.keys()
    for name, (offset, length) in found.items():
        assert data[offset : offset + length] == tensors[name].numpy().tobytes()


@given(st.binary(max_size=80))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        found = parse_header(data)
    except CorruptionError:
        return
    assert all(a >= 8 and a + n <= len(data) for a, n in found.values())


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"data_offsets": [0, 99]}},
        {"a": {"data_offsets": [-9, 1]}},
        {"a": {"data_offsets": [3, 1]}},
        {"a": {"data_offsets": [0]}},
        {"a": {}},
        {"a": 3},
        [1],
    ],
)
def test_headers_that_lie_are_refused(header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(CorruptionError):
        parse_header(len(text).to_bytes(8, "little") + text + b"12345678")


def test_digests_keep_parts_and_types_apart() -> None:
    ways = [("ab", "c"), ("a", "bc"), ("abc",), (b"ab", "c"), (1, 2), (12,), ("1", 2), (1.0, 2)]
    ways += [(None, 2), (), ("",), ("", ""), (True, 2)]
    assert len({digest(*parts) for parts in ways}) == len(ways)
    assert digest(b"x") == digest(bytearray(b"x")) == digest(memoryview(b"x"))
