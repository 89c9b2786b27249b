"""Versions, foreign files, migrations, and errors of SQLite in words."""

import dataclasses
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import store_samples as samples

from sharedcli.errors import (
    CorruptionError,
    ModelMismatchError,
    NoStoreError,
    SharedCLIError,
    StoreLockedError,
    UsageError,
)
from sharedcli.store import fulltext, migrations, schema
from sharedcli.store.catalogue import Catalogue, guarded
from sharedcli.store.records import Passage
from sharedcli.store.store import Store


def pragma(path: Path, text: str) -> object:
    connection = sqlite3.connect(path / "catalogue.sqlite3")
    try:
        return connection.execute(f"PRAGMA {text}").fetchone()
    finally:
        connection.close()


def test_the_promised_settings_hold(store: Store) -> None:
    assert pragma(store.path, "journal_mode") == ("wal",)
    assert pragma(store.path, "user_version") == (schema.FORMAT_VERSION,)
    assert pragma(store.path, "application_id") == (schema.APPLICATION_ID,)
    for write in (True, False):
        catalogue = Catalogue(store.path, write=write)
        wanted = {"synchronous": 2, "foreign_keys": 1, "query_only": int(not write)}
        for name, value in wanted.items():
            assert catalogue.connection.execute(f"PRAGMA {name}").fetchone() == (value,)
        assert catalogue.connection.execute("PRAGMA busy_timeout").fetchone()[0] >= 1000
        catalogue.close()


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    Store.open(tmp_path, create=True).close()
    pragma(tmp_path, f"user_version = {schema.FORMAT_VERSION + 1}")
    newer = rf"format version {schema.FORMAT_VERSION + 1}.*upgrade sharedcli"
    for create in (True, False):
        with pytest.raises(ModelMismatchError, match=newer):
            Store.open(tmp_path, create=create)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(UsageError, match="not a catalogue of sharedcli"):
            Store.open(tmp_path, create=create)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptionError, match="sharedcli check"):
        Store.open(tmp_path)


def test_older_stores_are_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path, create=True) as store:
        samples.put(store, 1)
        before = samples.dump(store)

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE added (x)")

    def failing(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE never (x)")
        raise sqlite3.OperationalError("database or disk is full")

    now = schema.FORMAT_VERSION
    monkeypatch.setattr(schema, "FORMAT_VERSION", now + 2)
    monkeypatch.setattr(migrations, "STEPS", {now: step, now + 1: failing})
    with pytest.raises(SharedCLIError, match="no space"):
        Store.open(tmp_path)
    assert pragma(tmp_path, "user_version") == (now,)
    monkeypatch.setattr(migrations, "STEPS", {now: step, now + 1: lambda _: None})
    with Store.open(tmp_path) as store:
        assert samples.dump(store) == before
    assert pragma(tmp_path, "user_version") == (now + 2,)
    assert pragma(tmp_path, "table_info(added)") is not None
    assert pragma(tmp_path, "table_info(never)") is None


def test_scripts_without_blanks_are_found_in_stores_of_before(tmp_path: Path) -> None:
    text = "小屋的油量为四升。"
    with Store.open(tmp_path, create=True) as store:
        document = dataclasses.replace(samples.document(), text=text, pages=())
        with store.writer(document, samples.identity(), file_size=1, mtime_ns=1) as writer:
            writer.put_passages([Passage(0, 1, 0, len(text))])
            record = writer.commit()
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite3")) as connection, connection:
        fulltext.clear(connection)  # and index it whole, as version 1 did
        rowid = 1 << schema.ORDINAL_BITS
        connection.execute("INSERT INTO passage_text(rowid, text) VALUES (?, ?)", (rowid, text))
        connection.execute("PRAGMA user_version = 1")
    with Store.open(tmp_path) as store:
        assert [hit.doc_id for hit in store.search_text('"油量"')] == [record.id]
        assert store.check().clean


def test_an_empty_file_is_no_store_yet(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite3").touch()
    with pytest.raises(NoStoreError):
        Store.open(tmp_path)
    with Store.open(tmp_path, create=True) as store:
        assert store.documents() == []


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (sqlite3.OperationalError("database is locked"), StoreLockedError, "busy"),
        (sqlite3.OperationalError("database or disk is full"), SharedCLIError, "no space"),
        (sqlite3.OperationalError("disk I/O error"), SharedCLIError, "disk"),
        (sqlite3.DatabaseError("database disk image is malformed"), CorruptionError, "check"),
        (sqlite3.OperationalError("no such table: texts"), CorruptionError, "check"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), CorruptionError, "check"),
    ],
)
def test_errors_of_sqlite_become_sentences(
    error: Exception, kind: type[SharedCLIError], words: str
) -> None:
    with pytest.raises(SharedCLIError, match=words) as caught, guarded(Path("/s/catalogue")):
        raise error
    assert type(caught.value) is kind


def test_wrong_use_is_not_called_damage(store: Store) -> None:
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.documents()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_on_a_read_only_place_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Store.open(path, create=True) as store:
        samples.put(store, 1)
        before = samples.dump(store)
    folders = [path, *(p for p in path.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        with Store.open(path) as store:
            assert samples.dump(store) == before
            with pytest.raises(SharedCLIError):
                samples.put(store, 2)
    finally:
        for folder in folders:
            folder.chmod(0o700)
