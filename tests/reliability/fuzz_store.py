"""Damaged stores and damaged files of ``export``: opened, checked, asked for everything."""

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import trial_setup as setup
from fuzz_mutate import mutated
from fuzz_run import Run

import store_faults as faults  # isort: skip

from sharedcli.errors import SharedCLIError
from sharedcli.store.store import Store

GOLDEN = setup.TESTS / "store" / "golden" / "v1" / "store"
_WORDS = (
    b'"dtype" "shape" "data_offsets" "__metadata__" F16 I8 U8 BF16 [ ] { } : , 0 -1 1e9 null true '
    b'"offset" "bytes" "sha256" "geometry" "format_version" PK TABLE documents CREATE'
).split()
_VALUES: tuple[object, ...] = (
    None, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 0.5, 1e308, "", "x", "\0", "{}", "[]", "null",
    b"", b"\xff", b"\0" * 100, "9" * 5000, "[" * 5000,
)  # fmt: skip


def fuzz_store(place: Path, rng: random.Random, run: Run) -> None:
    """Damage files of a store, or cells of its catalogue, then ask it for everything.

    An answer that differs from the whole store's without ``check`` noticing is a wrong answer.
    """
    path = place / "store"
    faults.sample_store(path)
    whole = faults.samples.files(path)
    with Store.open(path) as store:
        expected = faults.answers(store)
    while not run.over():
        said = _damage(path, whole, rng)
        try:
            outcome = faults.probe(path, expected)
            if outcome.startswith("WRONG") or outcome.startswith("REFUSED"):
                run.keep(outcome, said, ".txt", "wrong answers")
            else:
                run.count(outcome)
        except Exception as error:
            run.keep(error, said, ".txt")
        _restore(path, whole)


def _damage(path: Path, whole: dict[Path, bytes], rng: random.Random) -> bytes:
    """Damage the store at ``path``; return how, for whoever wants to do it again."""
    name = rng.choice(sorted(whole))
    data = whole[name]
    kind = rng.choice(("file", "file", "cell", "cell", "swap", "gone"))
    if kind == "cell":
        return _cell(path / "catalogue.sqlite3", rng)
    if kind == "swap":
        other = rng.choice(sorted(whole))
        (path / name).write_bytes(whole[other])
        return f"{name} holds what {other} held".encode()
    if kind == "gone" and rng.random() < 0.1:
        (path / name).unlink()
        return f"{name} removed".encode()
    damaged = mutated(rng, data, _WORDS if rng.random() < 0.7 else ())
    (path / name).write_bytes(damaged)
    return str(name).encode() + b"\n" + damaged


def _cell(catalogue: Path, rng: random.Random) -> bytes:
    """Change cells and rows of the catalogue as SQL can, past the store's own rules."""
    done = []
    with contextlib.closing(sqlite3.connect(catalogue, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_") and name not in ("passage_words", "passage_text")
        ]
        for _ in range(rng.choice((1, 1, 3))):
            with contextlib.suppress(sqlite3.Error, OverflowError):
                statement, values = _statement(connection, rng.choice(tables), rng)
                connection.execute(statement, values)
                done.append(f"{statement} {values!r}")
    return "\n".join(done).encode("utf-8", "backslashreplace")


def _statement(
    connection: sqlite3.Connection, table: str, rng: random.Random
) -> tuple[str, tuple[object, ...]]:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    if not columns:
        return "SELECT 1", ()
    column = rng.choice(columns)
    rows = connection.execute(f"SELECT quote({column}), {column} FROM {table}").fetchall()
    if not rows or rng.random() < 0.1:
        return f"DELETE FROM {table}", ()
    at = rng.randrange(len(rows))
    old = rows[at][1]
    new: object = rng.choice((*_VALUES, rows[rng.randrange(len(rows))][1]))
    if isinstance(old, str | bytes) and rng.random() < 0.5:
        text = old.encode() if isinstance(old, str) else old
        damaged = mutated(rng, text, _WORDS)
        new = damaged.decode("utf-8", "replace") if isinstance(old, str) else damaged
    if rng.random() < 0.1:
        return f"DELETE FROM {table} WHERE {column} IS ?", (old,)
    return f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", (new, old)


def _restore(path: Path, whole: dict[Path, bytes]) -> None:
    for extra in path.glob("catalogue.sqlite3-*"):
        extra.unlink()
    for name, data in whole.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != len(data) or file.read_bytes() != data:
            file.write_bytes(data)


def fuzz_import(place: Path, rng: random.Random, run: Run) -> None:
    """Take in damaged files of ``export``."""
    shutil.copytree(GOLDEN, place / "golden")
    with Store.open(place / "golden") as store:
        store.export(store.documents()[0].id, place / "whole.tree")
    whole = (place / "whole.tree").read_bytes()
    with Store.open(place / "store", create=True) as store:
        while not run.over():
            data = mutated(rng, whole, _WORDS)
            (place / "damaged.tree").write_bytes(data)
            try:
                store.remove([store.import_file(place / "damaged.tree").id])
                run.count("taken")
            except SharedCLIError:
                run.count("refused")
            except Exception as error:
                run.keep(error, data, ".tree")
