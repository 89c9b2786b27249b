"""``export`` and ``import``: everything comes back, and no wrong file gets in."""

import hashlib
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import store_samples as samples
import torch
from safetensors.torch import load, save

from sharedcli.errors import CorruptionError, SharedCLIError, UsageError
from sharedcli.ingest.document import Document
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry

GEOMETRY = TreeGeometry(chunk_tokens=samples.CHUNK_TOKENS, depth=2, slots_per_node=3)


def put(store: Store, slot_format: str = "int8", **geometry: Any) -> DocumentRecord:
    """A document whose tensors have the shapes of its tree."""
    shape = TreeGeometry(**{**GEOMETRY.to_dict(), **geometry})
    doc = samples.document(3, chunks=3)
    maker = samples.identity(slot_format=slot_format, geometry=shape.to_dict())
    parts = samples.tokens(doc)
    tree = ContextTree(parts[-1].token_end, shape)
    generator = torch.Generator().manual_seed(1)
    with store.writer(doc, maker, file_size=9, mtime_ns=7) as writer:
        writer.put_passages(samples.passages(doc), samples.vectors(doc, 3))
        for index, part in enumerate(parts):
            tensors = {}
            levels = [shape.depth] if shape.levels == "nested" else range(1, shape.depth + 1)
            for level in levels:
                slots = sum(tree.slots(node) for node in tree.level(index, level))
                for kind in ("keys", "values"):
                    tensors[f"level{level}.{kind}"] = torch.randn(
                        2, 2, slots, 40, generator=generator
                    )
            nodes = sum(1 for _ in tree.nodes(index))
            writer.put_chunk(index, part, tensors, torch.randn(nodes, 16, generator=generator))
        return writer.commit()


@pytest.fixture
def exported(store: Store, tmp_path: Path) -> Path:
    store.export(put(store).id, tmp_path / "a.tree")
    return tmp_path / "a.tree"


@pytest.fixture
def other(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "other", create=True) as opened:
        yield opened


def without_date(dump: dict[str, Any]) -> dict[str, Any]:
    return {
        key: (str(value[0]).split("added_at")[0], *value[1:]) if isinstance(value, tuple) else value
        for key, value in dump.items()
    }


@pytest.mark.parametrize("slot_format", ["int8", "int4", "bfloat16", "float32"])
@pytest.mark.parametrize("levels", ["per_node", "nested"])
def test_everything_comes_back_bit_by_bit(
    store: Store, other: Store, tmp_path: Path, slot_format: str, levels: str
) -> None:
    record = put(store, slot_format, levels=levels)
    size = store.export(record.id, tmp_path / "a.tree")
    assert size == (tmp_path / "a.tree").stat().st_size
    assert other.import_file(tmp_path / "a.tree").id == record.id
    assert without_date(samples.dump(other)) == without_date(samples.dump(store))
    assert {p.name for p in other.path.rglob("*.safetensors")} == {
        p.name for p in store.path.rglob("*.safetensors")
    }
    assert other.check().clean
    other.export(record.id, tmp_path / "again.tree")
    assert (tmp_path / "again.tree").read_bytes() == (tmp_path / "a.tree").read_bytes()


def test_a_file_from_before_1970_comes_back(store: Store, other: Store, tmp_path: Path) -> None:
    record = store.relocate(put(store).id, mtime_ns=-5)
    store.export(record.id, tmp_path / "a.tree")
    assert other.import_file(tmp_path / "a.tree").mtime_ns == -5


def test_what_is_there_is_not_replaced_unasked(exported: Path, other: Store) -> None:
    first = other.import_file(exported)
    assert other.import_file(exported) == first
    changed = Document(**{**samples.document(3).__dict__, "sha256": "0" * 64})
    with other.writer(changed, samples.identity(), file_size=1, mtime_ns=1) as writer:
        writer.commit()
    with pytest.raises(UsageError, match="--force"):
        other.import_file(exported)
    assert other.import_file(exported, replace=True).id == first.id
    assert len(other.documents()) == 1


def test_an_export_is_whole_or_absent(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(store)
    target = tmp_path / "a.tree"
    with monkeypatch.context() as patch:
        patch.setattr("sharedcli.store.exporting._chunk", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.export(record.id, target)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    store.export(record.id, target)
    with pytest.raises(UsageError, match="exists already"):
        store.export(record.id, target)


def test_every_flipped_bit_is_refused_or_without_effect(
    exported: Path, store: Store, tmp_path: Path
) -> None:
    rng = random.Random(5)
    whole = exported.read_bytes()
    expected = without_date(samples.dump(store))
    target = tmp_path / "flipped.tree"
    refused = 0
    with Store.open(tmp_path / "flips", create=True) as other:
        for _ in range(150):
            data = bytearray(whole)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            target.write_bytes(data)
            try:
                record = other.import_file(target)
            except SharedCLIError:
                refused += 1
                assert other.documents() == []
                continue
            assert without_date(samples.dump(other)) == expected  # a time stamp of zip, say
            other.remove([record.id])
    assert refused > 120


def test_every_truncation_is_refused(exported: Path, other: Store, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    for length in range(0, len(whole), 1999):
        (tmp_path / "cut.tree").write_bytes(whole[:length])
        with pytest.raises(CorruptionError, match="no whole file"):
            other.import_file(tmp_path / "cut.tree")
    assert other.documents() == []


def rewrite(
    path: Path,
    change: Callable[[dict[str, bytes], dict[str, Any]], None],
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Make a hostile file: change members or manifest, with digests that fit."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    manifest["members"] = {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in members.items()
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("manifest.json", json.dumps(manifest))


CHUNK = "chunks/00000000.safetensors"


def tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Any:
    def apply(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
        found = load(members[CHUNK])
        made = change(found.get(name, torch.zeros(1)))
        found.pop(name, None)
        members[CHUNK] = save(found if made is None else {**found, name: made.contiguous()})

    return apply


def entry(path: str, value: Any) -> Any:
    def apply(_members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        *outer, last = path.split("/")
        target = manifest
        for name in outer:
            target = target[name]
        target[last] = value

    return apply


def member(name: str, data: bytes) -> Any:
    return lambda members, _manifest: members.__setitem__(name, data)


HOSTILE = {
    "terminal title": entry("document/title", "\x1b]0;owned\x07"),
    "line break in the path": entry("document/source", "a\nb"),
    "text with controls": member("text.txt", b"\x1b[2J" * 50),
    "no UTF-8": member("text.txt", b"\xff" * 50),
    "pages with a gap": entry("document/pages", [[1, None, 0, 3], [2, None, 5, 9]]),
    "page as text": entry("document/pages", [["1", None, 0, 3]]),
    "pages deep": entry("document/pages", [[[[[1]]]]]),
    "no digest": entry("document/sha256", "../../etc/passwd"),
    "size as text": entry("document/file_size", "9"),
    "negative size": entry("document/file_size", -9),
    "unknown identity": entry("identity/colour", "red"),
    "other tensors' meaning": entry("identity/format_version", 2),
    "unknown slot format": entry("identity/slot_format", "pickle"),
    "geometry without depth": entry("identity/geometry", {"chunk_tokens": 24}),
    "geometry of text": entry("identity/geometry/depth", "2"),
    "a lead of text": entry("identity/geometry/lead_tokens", "x"),
    "half a token of lead": entry("identity/geometry/lead_tokens", 1.5),
    "no stored depth": entry("identity/geometry/stored_depth", None),
    "stored below the tree": entry("identity/geometry/stored_depth", 60),
    "huge depth": entry("identity/geometry/depth", 60),
    "model of a number": entry("identity/model", 5),
    "adapter of a list": entry("identity/adapter", ["none"]),
    "terminal title as model": entry("identity/model", "\x1b]0;owned\x07"),
    "more layers": entry("identity/injected_layers", 3),
    "more tokens": entry("tokens", 10**12),
    "tokens of text": entry("tokens", "many"),
    "more chunks": entry("chunks", 10**6),
    "other slot size": entry("slot_size", 41),
    "a member more": member("evil.py", b"print()"),
    "a path": member("../../evil", b"x"),
    "no safetensors": member(CHUNK, b"\x80\x04\x95pickle"),
    "huge header": member(CHUNK, (1 << 62).to_bytes(8, "little") + b"{}"),
    "codes of another type": tensor("slots/level1.keys", lambda t: t.to(torch.int16)),
    "codes of another shape": tensor("slots/level1.keys", lambda t: t[:, :, :1]),
    "missing tensor": tensor("slots/level2.values", lambda _: None),
    "missing scales": tensor("scales/level2.values", lambda _: None),
    "a tensor more": tensor("slots/level3.keys", lambda t: t),
    "scales without numbers": tensor("scales/level1.keys", lambda t: t * float("nan")),
    "summaries without numbers": tensor("summaries", lambda t: t * float("inf")),
    "negative tokens": tensor("token_ids", lambda t: t - 1000),
    "fewer tokens": tensor("token_ids", lambda t: t[:-1]),
    "characters beyond the text": tensor("char_spans", lambda t: t + 10**6),
    "characters backwards": tensor("char_spans", lambda t: t.flip(1)),
    "no passages": member("passages.safetensors", save({})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_whole(name: str, exported: Path, other: Store) -> None:
    rewrite(exported, HOSTILE[name])
    with pytest.raises(CorruptionError, match="nothing was stored") as caught:
        other.import_file(exported)
    assert "\x1b" not in str(caught.value)
    assert other.documents() == []
    assert list(other.path.rglob("*.safetensors")) == []


def test_compressed_and_doubled_members_are_refused(exported: Path, other: Store) -> None:
    rewrite(exported, lambda _m, _f: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(CorruptionError, match="compressed"):
        other.import_file(exported)
    rewrite(exported, lambda _m, _f: None)
    other.import_file(exported)
    with zipfile.ZipFile(exported, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("text.txt", b"other")
    with pytest.raises(CorruptionError):
        other.import_file(exported)


def test_newer_versions_and_other_files(exported: Path, other: Store, tmp_path: Path) -> None:
    rewrite(exported, entry("version", 2))
    with pytest.raises(UsageError, match="reads version 1"):
        other.import_file(exported)
    for data in (b"", b"hello", b"PK\x05\x06" + bytes(18)):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(CorruptionError):
            other.import_file(tmp_path / "x")
    with pytest.raises(UsageError, match="is no file"):
        other.import_file(tmp_path)


def test_vectors_may_be_absent(store: Store, other: Store, tmp_path: Path) -> None:
    doc = samples.document(4, chunks=1)
    shape = GEOMETRY.to_dict()
    with store.writer(doc, samples.identity(geometry=shape), file_size=1, mtime_ns=1) as writer:
        writer.put_passages(samples.passages(doc))
        part = samples.tokens(doc)[0]
        tree = ContextTree(part.token_end, GEOMETRY)
        tensors = {
            f"level{level}.{kind}": torch.ones(
                2, 1, sum(tree.slots(node) for node in tree.level(0, level)), 8
            )
            for level in (1, 2)
            for kind in ("keys", "values")
        }
        writer.put_chunk(0, part, tensors)
        record = writer.commit()
    store.export(record.id, tmp_path / "a.tree")
    other.import_file(tmp_path / "a.tree")
    ((_, _, numbers),) = other.read_passages([record.id])
    assert numbers.shape == (3, 0)
    assert np.array_equal(
        other.chunk_tokens(record.id, 0).token_ids, store.chunk_tokens(record.id, 0).token_ids
    )
