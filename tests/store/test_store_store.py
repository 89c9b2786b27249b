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

from sharedcli.errors import NoStoreError, SharedCLIError, UsageError
from sharedcli.store import segments
from sharedcli.store.records import Passage
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.store import Store


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
