"""The format's reference is enough to read a store: nothing here uses the package to read."""

import hashlib
import json
import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import store_samples as samples
from safetensors import safe_open

from sharedcli.store.store import Store


def seal(*parts: object) -> str:
    state = b""
    for part in parts:
        if isinstance(part, str):
            data, kind = part.encode("utf-8", "surrogatepass"), "s"
        elif isinstance(part, bytes):
            data, kind = part, "b"
        else:
            data, kind = str(part).encode(), type(part).__name__
        state += f"{kind}{len(data)}:".encode() + data
    return hashlib.sha256(state).hexdigest()


def test_the_example_of_a_seal() -> None:
    written = b"s1:a" + b"b1:\xff" + b"int2:-7" + b"NoneType4:None"
    assert seal("a", b"\xff", -7, None) == hashlib.sha256(written).hexdigest()


@pytest.fixture(params=["float32", "int8", "int4"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with Store.open(tmp_path / "s", create=True) as store:
        samples.put(store, 1, maker=samples.identity(slot_format=request.param))
        samples.put(store, 2, source=os.fsdecode(b"/odd \xff.pdf"))
        store.record_failure("/x.pdf", "empty")
    return tmp_path / "s"


def rows(path: Path, query: str, *values: object) -> list[dict[str, object]]:
    with closing(sqlite3.connect(path / "catalogue.sqlite3")) as catalogue:
        catalogue.row_factory = sqlite3.Row
        return [dict(row) for row in catalogue.execute(query, values)]


def test_every_seal_is_as_described(stored: Path) -> None:
    total = 0
    for document in rows(stored, "SELECT * FROM documents"):
        *columns, record = document.values()
        assert seal("record", *columns) == record
        key, id_ = document["key"], document["id"]
        source = document["source"].decode("utf-8", "surrogatepass")  # type: ignore[attr-defined]
        name = seal("document", document["identity"], document["document_sha256"], source)
        assert name[:12] == id_
        (text,) = rows(stored, "SELECT * FROM texts WHERE document = ?", key)
        assert seal("text", id_, text["text"], text["pages"]) == text["sha256"]
        (found,) = rows(stored, "SELECT * FROM passages WHERE document = ?", key)
        parts = (found["spans"], found["vector_size"], found["vectors"])
        assert seal("passages", id_, *parts) == found["sha256"]
        chunks = rows(stored, "SELECT * FROM chunks WHERE document = ? ORDER BY chunk", key)
        for chunk in chunks:
            _, *values, sha256 = chunk.values()
            assert seal("chunk", id_, *values) == sha256
        segments = rows(
            stored, "SELECT blob, bytes FROM segments WHERE document = ? ORDER BY segment", key
        )
        flat = [value for segment in segments for value in segment.values()]
        whole = [text["sha256"], found["sha256"], len(flat), *flat, *(c["sha256"] for c in chunks)]
        assert seal("contents", id_, *whole) == document["contents_sha256"]
        total += int(seal("document", key, id_, record), 16)
    for identity in rows(stored, "SELECT * FROM identities"):
        assert seal("identity", identity["fields"]) == identity["digest"]
    for failed in rows(stored, "SELECT * FROM failed"):
        total += int(seal("failed", *failed.values()), 16)
    (library,) = rows(stored, "SELECT value FROM meta WHERE name = 'library'")
    assert library["value"] == f"{total % 2**256:064x}"


def test_text_tokens_and_passages_are_as_described(stored: Path) -> None:
    doc = samples.document(1)
    (document,) = rows(stored, "SELECT * FROM documents WHERE mtime_ns = 1")
    (text,) = rows(stored, "SELECT * FROM texts WHERE document = ?", document["key"])
    assert zlib.decompress(text["text"]).decode() == doc.text  # type: ignore[arg-type]
    pages = json.loads(zlib.decompress(text["pages"]))  # type: ignore[arg-type]
    assert pages == [[p.number, p.label, p.start, p.end] for p in doc.pages]
    for part in samples.tokens(doc):
        (chunk,) = rows(
            stored,
            "SELECT * FROM chunks WHERE document = ? AND token_start = ?",
            document["key"],
            part.token_start,
        )
        packed = np.frombuffer(zlib.decompress(chunk["tokens"]), dtype="<i4")  # type: ignore[arg-type]
        ids, steps, lengths = packed.reshape(3, -1)
        assert (ids == part.token_ids).all()
        assert (np.cumsum(steps) == part.char_spans[:, 0]).all()
        assert (np.cumsum(steps) + lengths == part.char_spans[:, 1]).all()
    (found,) = rows(stored, "SELECT * FROM passages WHERE document = ?", document["key"])
    spans = np.frombuffer(found["spans"], dtype="<i4").reshape(-1, 3)  # type: ignore[call-overload]
    assert spans.tolist() == [[p.page, p.start, p.end] for p in samples.passages(doc)]
    (hit,) = rows(stored, "SELECT rowid FROM passage_text WHERE passage_text MATCH 'canary1'")
    assert divmod(hit["rowid"], 2**20) == (document["key"], 0)  # type: ignore[operator]


def value(slot_format: str, codes: np.ndarray, scales: np.ndarray | None, width: int) -> np.ndarray:
    if scales is None:
        return codes
    if slot_format == "int8":
        return codes.astype(np.float32) * scales.astype(np.float32)[..., None]
    spread = np.empty((*codes.shape[:-1], codes.shape[-1] * 2), dtype=np.float32)
    spread[..., 0::2] = (codes & 0xF).astype(np.float32) - 8
    spread[..., 1::2] = (codes >> 4).astype(np.float32) - 8
    return (spread * np.repeat(scales.astype(np.float32), 32, axis=-1))[..., :width]


def test_blobs_are_plain_safetensors(stored: Path) -> None:
    (document,) = rows(stored, "SELECT * FROM documents WHERE mtime_ns = 1")
    (maker,) = rows(stored, "SELECT * FROM identities WHERE digest = ?", document["identity"])
    slot_format = json.loads(maker["fields"])["slot_format"]  # type: ignore[arg-type]
    with Store.open(stored) as store:
        read = [
            store.read_chunk(str(document["id"]), i) for i in range(int(str(document["chunks"])))
        ]
    for chunk in rows(stored, "SELECT * FROM chunks WHERE document = ?", document["key"]):
        blob, number = str(chunk["blob"]), int(chunk["chunk"])  # type: ignore[call-overload]
        path = stored / "blobs" / blob[:2] / f"{blob}.safetensors"
        raw = path.read_bytes()
        assert hashlib.sha256(raw).hexdigest() == blob
        directory = json.loads(str(chunk["tensors"]))
        with safe_open(path, "np") as file:
            assert file.metadata() == {"sharedcli.document": document["id"]}
            for name, (form, shape, codes, scales, sha256) in directory.items():
                assert form == ("float16" if name == "summaries" else slot_format)
                key = f"{number:08d}.{name}"
                arrays = [file.get_tensor(key)]
                if scales is not None:
                    arrays.append(file.get_tensor(f"{key}.scales"))
                places = [codes, scales] if scales is not None else [codes]
                pieces = [raw[offset : offset + length] for offset, length in places]
                assert pieces == [array.tobytes() for array in arrays]
                parts = [document["id"], number, name, form, len(shape), *shape, *pieces]
                assert seal("tensor", *parts) == sha256
                own = value(form, arrays[0], arrays[1] if scales else None, shape[-1])
                assert own.shape == tuple(shape)
                assert (own == read[number][name].numpy()).all()


def test_the_settings_are_as_described(stored: Path) -> None:
    with closing(sqlite3.connect(stored / "catalogue.sqlite3")) as catalogue:
        for name, expected in {
            "application_id": 0x53684C4D,
            "user_version": 2,
            "journal_mode": "wal",
            "auto_vacuum": 2,
        }.items():
            assert catalogue.execute(f"PRAGMA {name}").fetchone() == (expected,)


def test_a_record_counts_the_bytes_of_its_blobs_and_rows(stored: Path) -> None:
    (document,) = rows(stored, "SELECT * FROM documents WHERE mtime_ns = 1")
    sizes = [
        int(str(row["size"]))
        for query in (
            "SELECT length(text) + length(pages) AS size FROM texts",
            "SELECT length(spans) + length(vectors) AS size FROM passages",
            "SELECT sum(bytes) AS size FROM segments",
            "SELECT sum(length(tokens) + length(tensors)) AS size FROM chunks",
        )
        for row in rows(stored, f"{query} WHERE document = ?", document["key"])
    ]
    assert len(sizes) == 4 and min(sizes) > 0
    assert document["stored_bytes"] == sum(sizes)
