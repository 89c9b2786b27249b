"""Flipped bits and cut files are noticed, and nothing damaged is ever answered."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import store_faults as faults
import store_samples as samples

from sharedcli.errors import CorruptionError
from sharedcli.store.store import Store


@pytest.fixture
def at_rest(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    faults.sample_store(path)
    return path


def test_flipped_bits_are_noticed(at_rest: Path) -> None:
    outcomes = faults.damage_trials(at_rest, faults.flips(at_rest, 200, seed=0))
    assert outcomes["blob: detected"] == 100
    assert outcomes["catalogue: detected"] > 30
    assert outcomes.keys() <= {"blob: detected", "catalogue: detected", "catalogue: harmless"}


def test_cut_files_are_noticed(at_rest: Path) -> None:
    outcomes = faults.damage_trials(at_rest, faults.truncations(at_rest, 2477))
    assert outcomes.keys() == {"blob: detected", "catalogue: detected"}


def test_a_length_beyond_memory_in_the_search_index_is_noticed(at_rest: Path) -> None:
    """SQLite asks for the memory, gets none, and Python raises ``MemoryError``."""
    with Store.open(at_rest) as store:
        expected = faults.answers(store)
    with closing(sqlite3.connect(at_rest / "catalogue.sqlite3", isolation_level=None)) as catalogue:
        damaged = catalogue.execute(
            "UPDATE passage_text_data SET block = ? WHERE block IS ?",
            (
                bytes.fromhex("000000000102 0200 eda080 020101010201 01"),
                bytes.fromhex("000000000102 0200 020101010201 01"),
            ),
        )
        assert damaged.rowcount == 1
    assert faults.probe(at_rest, expected) == "detected"


def test_every_bit_of_a_tensor_counts(at_rest: Path) -> None:
    """Reading alone, without ``check``, refuses a tensor with any bit turned."""
    with Store.open(at_rest) as store:
        record = store.documents()[1]
        blob = next(p for p in at_rest.rglob("*.safetensors") if record.id in str(p.read_bytes()))
        whole = blob.read_bytes()
        store.read_chunk(record.id, 0)
        body = 8 + int.from_bytes(whole[:8], "little")
        for place in range(body, len(whole), 97):
            data = bytearray(whole)
            data[place] ^= 1 << place % 8
            blob.write_bytes(data)
            with pytest.raises(CorruptionError) as caught:
                for index in range(record.chunks):
                    store.read_chunk(record.id, index)
            assert f"`sharedcli index --force '{record.source}'`" in str(caught.value)
        blob.write_bytes(whole)
        assert store.check().clean


def test_a_sound_tensor_of_another_document_is_refused(store: Store) -> None:
    """Blobs are swapped with others of the same size: each is sound in itself."""
    one = samples.put(store, 1, chunks=2)
    samples.put(store, 2, chunks=2)
    first, second = sorted(store.path.rglob("*.safetensors"))
    assert first.stat().st_size == second.stat().st_size
    content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    with pytest.raises(CorruptionError, match="does not match its digest"):
        store.read_chunk(one.id, 0)
    assert len(store.check().damaged) == 2


def test_check_names_the_document_and_its_repair(store: Store) -> None:
    samples.put(store, 1)
    record = samples.put(store, 2)
    blob = next(p for p in store.path.rglob("*.safetensors") if record.id in str(p.read_bytes()))
    blob.unlink()
    (damage,) = store.check().damaged
    assert (damage.doc_id, damage.source) == (record.id, record.source)
    assert damage.repair == f"sharedcli index --force '{record.source}'"
    assert "missing" in damage.problem
    with pytest.raises(CorruptionError, match="missing"):
        store.read_chunk(record.id, 0)
    samples.put(store, 2)
    assert store.check().clean


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET tokens = tokens + 1 WHERE id = :id",
        "UPDATE documents SET details = 'x' WHERE id = :id",
        "UPDATE texts SET text = x'00' WHERE document = :key",
        "UPDATE passages SET vectors = x'' WHERE document = :key",
        "UPDATE chunks SET tokens = 'text' WHERE document = :key",
        "UPDATE chunks SET blob = '../../etc/passwd' WHERE document = :key",
        "DELETE FROM chunks WHERE document = :key AND chunk = 1",
        "UPDATE segments SET bytes = 'many' WHERE document = :key",
        "UPDATE segments SET blob = 7 WHERE document = :key",
        "DELETE FROM segments WHERE document = :key",
        "DELETE FROM texts WHERE document = :key",
        "UPDATE identities SET fields = '{}'",
    ],
)
def test_damaged_rows_are_named_and_repaired(store: Store, statement: str) -> None:
    other = samples.put(store, 1, maker=samples.identity(slot_format="int8"))
    record = samples.put(store, 2)
    before = samples.dump(store)
    connection = store._catalogue.connection
    connection.execute("PRAGMA query_only = OFF")
    (key,) = connection.execute("SELECT key FROM documents WHERE id = ?", (record.id,)).fetchone()
    values = {"id": record.id, "key": key}
    connection.execute(statement, {k: v for k, v in values.items() if ":" + k in statement})
    connection.execute("PRAGMA query_only = ON")
    report = store.check()
    assert record.id in {damage.doc_id for damage in report.damaged}
    if "identities" not in statement:
        assert len(report.damaged) == 1
    samples.put(store, 2)
    if "identities" in statement:
        samples.put(store, 1, maker=samples.identity(slot_format="int8"))
    store.gc()
    assert store.check().clean
    after = samples.dump(store)
    assert after.keys() == before.keys()
    assert after[other.id][2:] == before[other.id][2:]  # type: ignore[index]
    assert after[record.id][2:] == before[record.id][2:]  # type: ignore[index]


def test_a_lost_row_stays_missed_until_gc(store: Store) -> None:
    record = samples.put(store, 1)
    samples.put(store, 2)
    connection = store._catalogue.connection
    connection.execute("PRAGMA query_only = OFF")
    connection.execute("DELETE FROM documents WHERE id = ?", (record.id,))
    connection.execute("PRAGMA query_only = ON")
    samples.put(store, 3)
    with pytest.raises(CorruptionError, match="sharedcli gc"):
        store.documents()
    assert any("list of documents" in problem for problem in store.check().problems)
    store.gc()
    assert len(store.documents()) == 2
    assert store.check().clean


def test_gc_drops_a_document_whose_record_is_lost(store: Store) -> None:
    record = samples.put(store, 1)
    kept = samples.put(store, 2)
    connection = store._catalogue.connection
    connection.execute("PRAGMA query_only = OFF")
    connection.execute("UPDATE documents SET source = x'2f' WHERE id = ?", (record.id,))
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(CorruptionError):
        store.documents()
    assert store.find("/") is None
    assert store.gc().dropped == ("/",)
    assert store.documents() == [kept]
    assert store.check().clean


def test_a_damaged_search_index_is_made_anew(store: Store) -> None:
    samples.put(store, 1)
    before = samples.dump(store)
    connection = store._catalogue.connection
    connection.execute("PRAGMA query_only = OFF")
    connection.execute("UPDATE passage_text_data SET block = zeroblob(40) WHERE id > 10")
    connection.execute("PRAGMA query_only = ON")
    store.close()
    with Store.open(store.path) as again:
        assert any("full-text" in problem for problem in again.check().problems)
        assert again.gc().rebuilt_search_index
        assert again.check().clean
        assert samples.dump(again) == before


@pytest.mark.parametrize("left", [b"", None])
def test_an_empty_catalogue_among_blobs_is_not_a_new_store(
    at_rest: Path, left: bytes | None
) -> None:
    if left is None:
        (at_rest / "catalogue.sqlite3").unlink()
    else:
        (at_rest / "catalogue.sqlite3").write_bytes(left)
    for create in (True, False):
        with pytest.raises(CorruptionError, match="missing or empty"):
            Store.open(at_rest, create=create)


@pytest.mark.parametrize("change", ["reason = 7", "source = 'text'", "reason = x'ff'"])
def test_damaged_failures_are_said_so_and_dropped_by_gc(store: Store, change: str) -> None:
    record = samples.put(store, 1)
    store.record_failure("/papers/a.pdf", "needs a password")
    connection = store._catalogue.connection
    connection.execute("PRAGMA query_only = OFF")
    connection.execute(f"UPDATE failed SET {change}")
    connection.execute("PRAGMA query_only = ON")
    assert not store.check().clean
    with pytest.raises(CorruptionError, match="sharedcli gc"):
        store.failures()
    store.gc()
    assert store.failures() == []
    assert store.documents() == [record]
    assert store.check().clean
