"""``sharedcli index FOLDER`` follows the folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sharedcli.engine.indexing import Indexer

Cli = Callable[..., Any]
PROSE = "The fog bell was rung by hand {} times in every minute of the night.\n"


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, loading a model is an error."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("sharedcli.engine.loading.load_model", refuse)


def counts(result: Any) -> dict[str, int]:
    """The counts of the last event that are not 0."""
    names = ("new", "changed", "unchanged", "renamed", "missing", "removed", "failed", "skipped")
    done = result.lines[-1]
    assert done["event"] == "done"
    return {name: done[name] for name in names if done[name]}


def sources(cli: Cli) -> list[str]:
    return [one["source"] for one in cli("list", "--json").json["documents"]]


@pytest.fixture
def folder(library: Path) -> Path:
    """The small library's files in a folder of their own, indexed under its name."""
    place = Path("papers")
    place.mkdir()
    shutil.move("notes.txt", place / "notes.txt")
    return place


def test_a_folder_is_followed(cli: Cli, folder: Path, no_model: None) -> None:
    """Renamed, unchanged, touched, missing, pruned: all without a model."""
    moved = cli("index", "papers", "--json")
    assert counts(moved) == {"renamed": 1}
    event = next(one for one in moved.lines if one["event"] == "renamed")
    assert (event["previous"], event["file"]) == ("notes.txt", "papers/notes.txt")
    assert counts(cli("index", "papers", "--json")) == {"unchanged": 1}
    os.utime(folder / "notes.txt", ns=(1_600_000_000_000_000_000,) * 2)
    assert counts(cli("index", "papers", "--json")) == {"unchanged": 1}
    listed = {one["source"]: one for one in cli("list", "--json").json["documents"]}
    assert listed["papers/notes.txt"]["mtime_ns"] == 1_600_000_000_000_000_000

    shutil.copy("halvard-ridge.pdf", folder / "other.pdf")
    Path("halvard-ridge.pdf").unlink()
    (folder / "notes.txt").rename("elsewhere.txt")
    gone = cli("index", "papers")
    assert gone.out == (
        "0 new, 0 changed, 0 unchanged, 1 renamed, 1 missing, 0 failed, 0 skipped\n"
    )
    assert "papers/notes.txt  has no file any more; --prune removes it" in gone.err
    pruned = cli("index", "papers", "--prune", "--json")
    assert counts(pruned) == {"unchanged": 1, "removed": 1}
    assert sources(cli) == ["papers/other.pdf"]
    assert cli("check").code == 0


def test_a_renamed_document_keeps_tree_and_gets_its_new_name(
    cli: Cli, folder: Path, no_model: None
) -> None:
    before = {one["id"]: one for one in cli("list", "--json").json["documents"]}
    cli("index", "papers")
    after = {one["id"]: one for one in cli("list", "--json").json["documents"]}
    assert before.keys() == after.keys()
    assert "papers/notes.txt" in {one["source"] for one in after.values()}
    assert "notes.txt" in {one["title"] for one in after.values()}
    (folder / "notes.txt").rename(folder / "log book.txt")
    cli("index", "papers")
    assert cli("show", "log book.txt", "--json").json["document"]["title"] == "log book.txt"


def test_another_kind_of_file_is_read_again(cli: Cli, folder: Path) -> None:
    (folder / "notes.txt").rename(folder / "notes.md")
    assert counts(cli("index", "papers", "--json")) == {"new": 1}


def test_a_copy_is_a_document_of_its_own(cli: Cli, folder: Path) -> None:
    cli("index", "papers")
    shutil.copy(folder / "notes.txt", folder / "copy.txt")
    assert counts(cli("index", "papers", "--json")) == {"new": 1, "unchanged": 1}


def test_an_emptied_folder_is_not_pruned(cli: Cli, folder: Path, no_model: None) -> None:
    cli("index", "papers")
    (folder / "notes.txt").unlink()
    result = cli("index", "papers", "--prune")
    assert result.code == 1
    assert "nothing was removed: bring its disk back" in result.err
    assert "papers/notes.txt" in sources(cli)


def test_pruning_stays_inside_the_folder(cli: Cli, folder: Path, no_model: None) -> None:
    cli("index", "papers")
    Path("halvard-ridge.pdf").unlink()
    assert counts(cli("index", "papers", "--prune", "--json")) == {"unchanged": 1}
    assert "halvard-ridge.pdf" in sources(cli)


def test_equal_size_and_time_do_not_hide_a_change_right_after_the_look(
    cli: Cli, folder: Path
) -> None:
    """The clock of a file system has steps: a time as fresh as the look at it is not trusted."""
    file = folder / "fresh.txt"
    file.write_text(PROSE.format("two"))
    later = file.stat().st_mtime_ns + 3_600_000_000_000
    os.utime(file, ns=(later, later))  # as if written in the very moment
    cli("index", str(file))
    file.write_text(PROSE.format("six"))
    os.utime(file, ns=(later, later))
    assert counts(cli("index", str(file), "--json")) == {"changed": 1}


def test_filters(cli: Cli, folder: Path, no_model: None) -> None:
    for name in (".hidden.txt", "ignored.txt", "left-out.txt"):
        shutil.copy(folder / "notes.txt", folder / name)
    (folder / ".gitignore").write_text("ignored.txt\n")

    def found(*flags: str) -> int:
        return int(cli("index", "papers", "-n", "--json", *flags).lines[0]["files"])

    assert found() == 2
    assert found("--exclude", "left-*") == 1
    assert found("--include", "left-*") == 1
    assert found("--hidden") == 3
    assert found("--no-gitignore") == 3
    assert found("--no-gitignore", "--hidden", "--exclude", "*.txt") == 0


def test_a_dry_run_writes_nothing(cli: Cli, folder: Path, no_model: None) -> None:
    (folder / "new.txt").write_text(PROSE.format("nine") * 50)
    (folder / "empty.txt").touch()
    result = cli("index", "papers", "halvard-ridge.pdf", "--dry-run", "--json")
    assert result.code == 3
    assert counts(result) == {"new": 1, "renamed": 1, "unchanged": 1, "failed": 1}
    planned = next(one for one in result.lines if one["event"] == "planned")
    assert (planned["file"], planned["action"]) == ("papers/new.txt", "new")
    estimate = result.lines[-1]["estimate"]
    assert estimate == planned["estimate"]
    assert estimate["tokens"] > 100
    assert estimate["bytes"] > estimate["tokens"]  # known from the run that made the library
    assert estimate["seconds"] > 0
    assert estimate["memory"] is None or estimate["memory"] > 0
    assert sources(cli) == ["halvard-ridge.pdf", "notes.txt"]
    assert cli("status", "--json").json["failed"] == []
    shown = cli("index", "papers", "-n", "--exclude", "empty.txt").out
    assert shown.startswith("would be 1 new, 0 changed, 0 unchanged, 1 renamed, 0 failed")
    assert "about " in shown


def test_a_dry_run_before_the_first_makes_no_store(cli: Cli, tmp_path: Path) -> None:
    Path("a.txt").write_text(PROSE.format("two"))
    result = cli("index", "a.txt", "--dry-run", "--json", "--cache", str(tmp_path / "cache"))
    assert (result.code, counts(result)) == (0, {"new": 1})
    assert result.lines[-1]["estimate"] == {
        "tokens": round(len(PROSE.format("two")) / 4),
        "bytes": None,
        "seconds": None,
        "memory": None,
    }
    assert not (tmp_path / "store").exists()


def test_failures_are_listed_tried_again_and_forgotten(cli: Cli, folder: Path) -> None:
    (folder / "a.txt").touch()
    (folder / "b.txt").touch()
    assert cli("index", "papers").code == 3
    failed = cli("status", "--failed", "--json").json["failed"]
    assert [(one["source"], "is empty" in one["reason"]) for one in failed] == [
        (str(folder.absolute() / "a.txt"), True),
        (str(folder.absolute() / "b.txt"), True),
    ]
    (folder / "a.txt").write_text(PROSE.format("two"))
    (folder / "b.txt").unlink()
    assert counts(cli("index", "papers", "--json")) == {"new": 1, "unchanged": 1}
    assert cli("status", "--failed", "--json").json["failed"] == []


def test_a_failed_file_that_is_as_it_was_again_is_forgotten(cli: Cli, folder: Path) -> None:
    cli("index", "papers")
    notes, good = folder / "notes.txt", (folder / "notes.txt").read_bytes()
    notes.write_bytes(b"")
    assert cli("index", "papers").code == 1
    assert len(cli("status", "--failed", "--json").json["failed"]) == 1
    notes.write_bytes(good)
    assert counts(cli("index", "papers", "--json")) == {"unchanged": 1}
    assert cli("status", "--failed", "--json").json["failed"] == []


def test_a_file_that_fails_at_every_run_loads_no_model(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "scan.txt").touch()
    cli("index", "papers")
    loads: list[int] = []
    made = Indexer.__init__

    def make(self: Indexer, *given: Any, **named: Any) -> None:
        made(self, *given, **{**named, "preload": lambda: loads.append(1)})

    monkeypatch.setattr(Indexer, "__init__", make)
    monkeypatch.setattr("sharedcli.engine.indexing._SLOW_BYTES", 0)
    assert cli("index", "papers").code == 3
    assert loads == []
    (folder / "more.txt").write_text(PROSE.format("more"))
    assert cli("index", "papers").code == 3
    assert loads == [1]


def test_the_repair_that_is_named_works(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "more.txt").write_text(PROSE.format("more"))
    cli("index", "papers")
    catalogue = tmp_path / "store" / "catalogue.sqlite3"
    with closing(sqlite3.connect(catalogue)) as connection, connection:
        connection.execute(
            "UPDATE documents SET file_size = file_size + 1 "
            "WHERE CAST(source AS TEXT) LIKE '%notes.txt'"
        )
    assert cli("list").code == 13
    assert cli("index", "--force", str(folder.absolute() / "more.txt")).code == 0
    assert cli("index", "--force", "papers/notes.txt").code == 0
    assert cli("check").code == 0


def test_a_file_from_1970_is_seen_to_change(cli: Cli, folder: Path) -> None:
    for text, expected in (("one", {"new": 1}), ("two", {"changed": 1}), ("two", {"unchanged": 1})):
        (folder / "old.txt").write_text(PROSE.format(text))
        os.utime(folder / "old.txt", (0, 0))
        assert counts(cli("index", "papers/old.txt", "--json")) == expected


def test_a_name_that_leads_nowhere_is_told_and_not_kept(cli: Cli, folder: Path) -> None:
    done = cli("index", "papers", "typo.pdf")
    assert done.code == 3
    assert "typo.pdf" in done.err
    assert cli("status", "--failed", "--json").json["failed"] == []


def test_one_name_may_fail_in_two_folders(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("empty.txt").touch()
        assert cli("index", "empty.txt").code == 1
    assert " empty.txt " in cli("status", "--failed").out
    assert len(cli("status", "--failed", "--json").json["failed"]) == 2
    Path("empty.txt").write_text(PROSE.format("two"))
    assert cli("index", "empty.txt").code == 0
    (left,) = cli("status", "--failed", "--json").json["failed"]
    assert left["source"] == str(tmp_path / "one" / "empty.txt")


def test_one_file_is_one_document_by_whatever_path(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("index", "papers")
    absolute = str(folder.absolute())
    assert counts(cli("index", absolute, "--json")) == {"renamed": 1}
    assert counts(cli("index", absolute, "--json")) == {"unchanged": 1}
    Path("beside").mkdir()
    monkeypatch.chdir("beside")
    assert counts(cli("index", "../papers", "--json")) == {"renamed": 1}
    Path("../papers/notes.txt").write_text(PROSE.format("two"))
    assert counts(cli("index", absolute, "--json")) == {"changed": 1}
    assert counts(cli("index", "../papers", "--force", "--json")) == {"changed": 1}
    assert sources(cli) == ["halvard-ridge.pdf", "../papers/notes.txt"]


def test_another_folder_of_the_same_name_prunes_nothing(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("index", "papers")
    Path("elsewhere/papers").mkdir(parents=True)
    monkeypatch.chdir("elsewhere")
    Path("papers/other.txt").write_text(PROSE.format("two"))
    for dry in ("-n", "--json"):
        result = cli("index", "papers", "--prune", "--json", dry)
        assert "removed" not in counts(result)
    assert "papers/notes.txt" in sources(cli)
