"""The store as its callers see it."""

import dataclasses
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import store_samples as samples
import torch

from sharedcli.errors import ModelMismatchError, NoStoreError, SharedCLIError, UsageError
from sharedcli.store import segments
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.quantize import decode, encode
from sharedcli.store.records import Passage
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.store import Store


def test_what_is_written_is_read_back_exactly(store: Store) -> None:
    doc = samples.document(1)
    record = samples.put(store, 1)
    assert store.documents() == [record] == [store.document(record.id)]
    assert store.load_document(record.id) == doc
    assert store.identity(record.id) == samples.identity()
    assert store.passages(record.id) == samples.passages(doc)
    stored_vectors = store.passage_vectors([record.id])[record.id]
    assert (stored_vectors == samples.vectors(doc, 1).astype(np.float16)).all()
    assert record.tokens == sum(len(part.token_ids) for part in samples.tokens(doc))
    assert (record.pages, record.file_size, record.mtime_ns) == (2, len(doc.text), 1)
    assert record.warnings == doc.warnings
    for index, part in enumerate(samples.tokens(doc)):
        read = store.chunk_tokens(record.id, index)
        assert read.token_start == part.token_start
        assert (read.token_ids == part.token_ids).all()
        assert (read.char_spans == part.char_spans).all()
        assert store.chunks(record.id)[index] == part.span(index)
        assert torch.equal(
            store.read_summaries(record.id)[index], samples.summaries(1, index).half()
        )


@pytest.mark.parametrize("slot_format", ["bfloat16", "float16", "float32", "int8", "int4"])
def test_tensors_are_read_back_bit_for_bit(store: Store, slot_format: str) -> None:
    record = samples.put(store, 2, maker=samples.identity(slot_format=slot_format))
    for index in range(record.chunks):
        read = store.read_chunk(record.id, index)
        assert read.keys() == {*samples.tensors(2, index), "summaries"}
        for name, tensor in samples.tensors(2, index).items():
            expected = decode(encode(tensor, slot_format))
            assert read[name].dtype == expected.dtype
            assert torch.equal(read[name], expected)
            if slot_format == "float32":
                assert torch.equal(read[name], tensor)


def test_only_the_asked_tensors_are_read(store: Store) -> None:
    record = samples.put(store, 2)
    read = store.read_chunk(record.id, 1, ["level2.keys"], dtype=torch.float64)
    assert list(read) == ["level2.keys"]
    assert read["level2.keys"].dtype == torch.float64
    with pytest.raises(KeyError):
        store.read_chunk(record.id, 1, ["level9.keys"])
    with pytest.raises(IndexError):
        store.read_chunk(record.id, record.chunks)


def test_long_documents_go_to_several_blobs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = samples.put(store, 3, chunks=7)
    content = samples.dump(store)[one.id]
    assert store.stats().blobs == 1
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 10_000)
    several = samples.put(store, 3, chunks=7)
    store.gc()
    assert store.stats().blobs == several.chunks // 2 + several.chunks % 2
    again = samples.dump(store)[several.id]
    assert again[1:] == content[1:]  # type: ignore[index]
    assert store.check().clean


def test_the_same_document_makes_the_same_blob(tmp_path: Path) -> None:
    names = []
    for name in ("a", "b"):
        with Store.open(tmp_path / name, create=True) as store:
            samples.put(store, 4)
            names.append(sorted(p.name for p in (tmp_path / name / "blobs").rglob("*.safetensors")))
    assert names[0] == names[1] != []


def test_indexing_a_source_again_replaces_it(store: Store) -> None:
    kept = samples.put(store, 1)
    old = samples.put(store, 2, source="/papers/a.pdf")
    new = samples.put(store, 3, source="/papers/a.pdf")
    assert [d.id for d in store.documents()] == [kept.id, new.id]
    assert store.find("/papers/a.pdf") == new
    assert not store.search_text('"canary2"')
    assert [hit.doc_id for hit in store.search_text('"canary3"')] == [new.id]
    with pytest.raises(NoStoreError):
        store.read_chunk(old.id, 0)
    assert store.check().clean


def test_equal_content_at_two_places_is_two_documents(store: Store) -> None:
    one = samples.put(store, 1, source="/a.pdf")
    two = samples.put(store, 1, source="/b.pdf")
    assert one.id != two.id
    assert store.find_content(one.document_sha256) == [one, two]
    again = samples.put(store, 1, source="/a.pdf")
    assert again.id == one.id
    assert len(store.documents()) == 2


def test_standard_input_replaces_only_its_equal(store: Store) -> None:
    samples.put(store, 1, source="-")
    samples.put(store, 2, source="-")
    samples.put(store, 2, source="-")
    assert sorted(d.mtime_ns for d in store.documents()) == [1, 2]


@pytest.mark.parametrize("fails", [True, False])
def test_without_a_commit_nothing_is_seen(store: Store, fails: bool) -> None:
    samples.put(store, 1, source="/a.pdf")
    before = samples.dump(store)
    doc = samples.document(5, source="/a.pdf")

    def write() -> None:
        with store.writer(doc, samples.identity(), file_size=1, mtime_ns=1) as writer:
            writer.put_passages(samples.passages(doc))
            writer.put_chunk(0, samples.tokens(doc)[0], samples.tensors(5, 0))
            writer._write_segment()
            assert samples.dump(store) == before
            if fails:
                raise RuntimeError("the model failed")

    if fails:
        with pytest.raises(RuntimeError):
            write()
    else:
        write()
    assert samples.dump(store) == before
    report = store.check()
    assert report.clean
    assert report.unused_files == 0


def test_the_writer_refuses_what_does_not_fit(store: Store) -> None:
    doc = samples.document(1)
    parts = samples.tokens(doc)
    with store.writer(doc, samples.identity(), file_size=1, mtime_ns=1) as writer:
        with pytest.raises(ValueError, match="out of order"):
            writer.put_chunk(1, parts[0], {})
        with pytest.raises(ValueError, match="starts at token"):
            writer.put_chunk(0, parts[1], {})
        with pytest.raises(ValueError, match="beyond the text"):
            far = np.array([[0, len(doc.text) + 1]], dtype=np.int32)
            writer.put_chunk(0, ChunkTokens(0, np.array([1], dtype=np.int32), far), {})
        for name in ("Level", "../x", "summaries", "level1.keys.scales", ""):
            with pytest.raises(ValueError, match="named"):
                writer.put_chunk(0, parts[0], {name: torch.zeros(1, 1, 1, 1)})
        with pytest.raises(ValueError, match="does not fit"):
            writer.put_passages([Passage(0, 1, 0, len(doc.text) + 1)])
        with pytest.raises(ValueError, match="need vectors"):
            writer.put_passages(samples.passages(doc), np.zeros((1, 4)))
        with pytest.raises(ValueError, match="finite"):
            writer.put_passages([Passage(0, 1, 0, 1)], np.full((1, 4), np.nan))
        with pytest.raises(SharedCLIError, match="not finite"):
            writer.put_chunk(0, parts[0], {"level1.keys": torch.full((1, 1, 1, 4), torch.nan)})
        writer.put_passages(samples.passages(doc))
        with pytest.raises(ValueError, match="once"):
            writer.put_passages(samples.passages(doc))
        record = writer.commit()
        with pytest.raises(ValueError, match="once"):
            writer.commit()
    assert record.chunks == 0
    assert store.documents() == [record]


def test_names_may_hold_any_bytes(store: Store) -> None:
    source = os.fsdecode(b"/papers/\xff\x1b[31m'; DROP.pdf")
    doc = dataclasses.replace(samples.document(1, source=source), title="t\udc80\0itle")
    with store.writer(doc, samples.identity(), file_size=1, mtime_ns=1) as writer:
        writer.put_passages(samples.passages(doc))
        record = writer.commit()
    assert store.find(source) == record
    assert store.load_document(record.id) == doc
    store.record_failure(source, "odd \udcff reason")
    assert store.failures()[0].reason == "odd \udcff reason"
    assert store.check().clean


def test_text_with_lone_surrogates_is_kept_and_searched(store: Store) -> None:
    doc = dataclasses.replace(samples.document(1), text="alpha \ud800 beta", pages=())
    with store.writer(doc, samples.identity(), file_size=1, mtime_ns=1) as writer:
        writer.put_passages([Passage(0, 1, 0, len(doc.text))])
        record = writer.commit()
    assert store.load_document(record.id).text == doc.text
    assert store.search_text('"beta"')[0].doc_id == record.id
    store.remove([record.id])
    assert store.check().clean


OTHERS = {
    "model": "acme/other",
    "weights": "v" * 64,
    "adapter": "a" * 64,
    "tokenizer": "u" * 64,
    "dtype": "bfloat16",
    "quantization": "bnb-4bit",
    "injected_layers": 3,
    "geometry": {"chunk_tokens": 48, "depth": 2, "levels": "per_node"},
    "slot_format": "int8",
    "key_position": "rotated",
    "passage_encoder": "some/encoder",
    "format_version": 2,
}


def test_every_field_of_an_identity_has_a_refusal() -> None:
    assert OTHERS.keys() == {field.name for field in dataclasses.fields(TreeIdentity)}


@pytest.mark.parametrize("field", OTHERS)
def test_another_identity_is_refused_by_name(store: Store, field: str) -> None:
    record = samples.put(store, 1)
    store.check_identity(record, samples.identity())
    other = samples.identity(**{field: OTHERS[field]})
    with pytest.raises(ModelMismatchError) as caught:
        store.check_identity(record, other)
    message = str(caught.value)
    name = "geometry.chunk_tokens" if field == "geometry" else field
    old, new = (
        ("24", "48")
        if field == "geometry"
        else (
            repr(getattr(samples.identity(), field)),
            repr(OTHERS[field]),
        )
    )
    assert f"{name} was {old}, is {new};" in message
    assert message.count(" was ") == 2  # "was indexed" and the one field
    assert "`sharedcli index --force '/papers/report 1.pdf'`" in message
    assert ("--model acme/base" in message) == (field == "model")


def test_documents_of_two_identities_live_side_by_side(store: Store) -> None:
    one = samples.put(store, 1, source="/a.pdf")
    two = samples.put(store, 1, source="/b.pdf", maker=samples.identity(slot_format="int4"))
    assert store.identity(one.id).slot_format == "bfloat16"
    assert store.identity(two.id).slot_format == "int4"


def test_a_renamed_file_keeps_its_tree(store: Store) -> None:
    record = samples.put(store, 1)
    samples.put(store, 2, source="/new.pdf")
    moved = store.relocate(record.id, source="/new.pdf", mtime_ns=77, file_size=5)
    assert moved == dataclasses.replace(record, source="/new.pdf", mtime_ns=77, file_size=5)
    assert store.documents() == [moved]
    assert store.check().clean


def test_failures_last_until_the_file_is_indexed(store: Store) -> None:
    source = samples.document(1).source
    store.record_failure(source, "needs a password")
    store.record_failure(source, "still needs a password")
    store.record_failure("/other", "empty")
    assert [(f.source, f.reason) for f in store.failures()] == [
        ("/other", "empty"),
        (source, "still needs a password"),
    ]
    samples.put(store, 1)
    assert [f.source for f in store.failures()] == ["/other"]
    store.clear_failure("/other")
    assert store.failures() == []
    assert store.check().clean


def test_removed_documents_leave_no_bytes(store: Store) -> None:
    kept = samples.put(store, 1)
    gone = samples.put(store, 2)
    assert store.remove([gone.id, "000000000000"]) == [gone.id]
    assert store.documents() == [kept]
    assert store.check().clean
    store.gc()
    assert store.stats().blobs == 1
    assert store.stats().unused_bytes == 0
    for data in samples.files(store.path).values():
        assert b"canary2" not in data


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_can_read(store: Store) -> None:
    samples.put(store, 1)
    for path in [store.path, *store.path.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError, match="sharedcli index"):
        Store.open(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not a directory"):
        Store.open(tmp_path / "file", create=True)
    assert not (tmp_path / "none").exists()


def test_a_library_is_listed_without_torch(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True) as store:
        record = samples.put(store, 1)
    code = (
        "import sys; from pathlib import Path; from sharedcli.store.store import Store\n"
        f"store = Store.open(Path({str(tmp_path / 's')!r}))\n"
        "print(store.documents()[0].id, store.stats().documents, len(store.failures()))\n"
        "assert not {'torch', 'safetensors'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [record.id, "1", "0"]
