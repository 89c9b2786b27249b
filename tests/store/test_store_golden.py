"""Stores of every released format version open, answer as they did, and are brought up to date."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import store_faults as faults
from make_golden_store import GOLDEN, answers

from sharedcli.errors import ModelMismatchError, SharedCLIError
from sharedcli.store import migrations, schema
from sharedcli.store.store import Store

VERSIONS = sorted(path.name for path in GOLDEN.iterdir())


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path / "catalogue.sqlite3")) as connection:
        return schema.version(connection)


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden store, with ``expected.json`` beside it."""
    shutil.copytree(GOLDEN / request.param, tmp_path, dirs_exist_ok=True)
    return tmp_path / "store"


def test_an_older_store_that_may_not_be_written_to_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(GOLDEN / "v1", tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SharedCLIError, match=r"brought to version .* where you may write"):
        Store.open(tmp_path / "store")


def test_there_is_one_for_every_version() -> None:
    assert [f"v{n}" for n in range(1, schema.FORMAT_VERSION + 1)] == VERSIONS


def _expected(golden: Path) -> dict[str, Any]:
    """What it answered when it was made."""
    found: dict[str, Any] = json.loads((golden.parent / "expected.json").read_text("utf-8"))
    return found


def test_a_golden_store_answers_as_it_did(golden: Path) -> None:
    expected = _expected(golden)
    with Store.open(golden) as store:
        assert store.check().clean
        assert answers(store) == expected
    assert version_of(golden) == schema.FORMAT_VERSION


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose format has one column more."""
    monkeypatch.setattr(schema, "FORMAT_VERSION", schema.FORMAT_VERSION + 1)
    steps = {
        **migrations.STEPS,
        schema.FORMAT_VERSION - 1: lambda connection: connection.execute(
            "ALTER TABLE failed ADD COLUMN tries INTEGER NOT NULL DEFAULT 1"
        ),
    }
    monkeypatch.setattr(migrations, "STEPS", steps)


def columns(path: Path) -> set[str]:
    with closing(sqlite3.connect(path / "catalogue.sqlite3")) as connection:
        return {row[1] for row in connection.execute("PRAGMA table_info(failed)")}


def test_migrations_run_once_and_keep_everything(golden: Path, next_version: None) -> None:
    expected = _expected(golden)
    for _ in range(2):
        with Store.open(golden) as store:
            assert answers(store) == expected
        assert version_of(golden) == schema.FORMAT_VERSION
    assert "tries" in columns(golden)


def test_a_failed_migration_leaves_the_store_as_it_was(
    golden: Path, next_version: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version_of(golden)
    step = migrations.STEPS[schema.FORMAT_VERSION - 1]

    def failing(connection: sqlite3.Connection) -> None:
        step(connection)
        raise RuntimeError("a mistake in the step")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", {**migrations.STEPS, schema.FORMAT_VERSION - 1: failing})
        with pytest.raises(RuntimeError):
            Store.open(golden)
    assert (version_of(golden), "tries" in columns(golden)) == (before, False)
    assert faults.kill_at(golden, 1, lambda path: Store.open(path).close()) == -9
    assert (version_of(golden), "tries" in columns(golden)) == (before, False)
    Store.open(golden).close()
    assert version_of(golden) == schema.FORMAT_VERSION


def test_the_release_before_refuses_by_name(golden: Path, next_version: None) -> None:
    Store.open(golden).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "FORMAT_VERSION", schema.FORMAT_VERSION - 1)
        with pytest.raises(ModelMismatchError, match=f"format version {schema.FORMAT_VERSION + 1}"):
            Store.open(golden)
