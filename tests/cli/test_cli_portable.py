"""``sharedcli export``, ``import`` and ``--quota``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Cli = Callable[..., Any]
OIL = "How many litres of colza oil did the lamp burn?"


def test_a_tree_goes_to_another_store_and_answers_there(library: Path, cli: Cli) -> None:
    written = cli("export", "notes.txt", "-o", "notes.tree", "--json").json
    assert written["bytes"] == Path("notes.tree").stat().st_size
    taken = cli("import", "notes.tree", "--store", "other", "--json").json
    assert taken["document"]["id"] == written["document"]["id"]
    here = cli("ask", OIL, "--doc", "notes.txt", "--inject", "always", "--json").json
    there = cli("ask", OIL, "--inject", "always", "--store", "other", "--json").json
    assert there["answer"] == here["answer"]
    assert there["evidence"] == here["evidence"]
    assert cli("check", "--store", "other").code == 0
    assert cli("import", "notes.tree", "--store", "other").out == taken["document"]["id"] + "\n"


def test_an_imported_tree_is_not_missed_in_a_folder(library: Path, cli: Cli) -> None:
    Path("papers").mkdir()
    Path("notes.txt").rename("papers/notes.txt")
    cli("index", "papers")
    cli("export", "papers/notes.txt", "-o", "notes.tree")
    cli("import", "notes.tree", "--store", "other")
    Path("papers/notes.txt").rename("papers/own.txt")
    Path("papers/own.txt").write_text("The fog bell was rung by hand in the night. " * 20)
    assert cli("index", "--prune", "papers", "--store", "other").code == 0
    listed = cli("list", "--store", "other", "--json").json["documents"]
    assert {one["source"] for one in listed} == {"papers/notes.txt", "papers/own.txt"}


def test_an_imported_tree_of_another_model_is_refused_by_name(
    library: Path, cli: Cli, tiny_folder: Callable[[str], Path]
) -> None:
    cli("export", "notes.txt", "-o", "notes.tree")
    cli("import", "notes.tree", "--store", "other")
    result = cli("ask", OIL, "--store", "other", "--model", str(tiny_folder("qwen2")))
    assert result.code == 12
    assert "weights was" in result.err


def test_wrong_files(library: Path, cli: Cli) -> None:
    assert cli("import", "notes.txt").code == 13
    assert cli("import", "nothing").code == 2
    assert cli("export", "nothing", "-o", "x").code == 10
    assert cli("export", "notes.txt", "-o", "notes.txt").code == 2
    assert "lighthouse" in Path("notes.txt").read_text()


def test_the_quota_of_the_store(library: Path, cli: Cli) -> None:
    Path("more.txt").write_text("The fog bell was rung by hand in the night. " * 200)
    result = cli("index", "more.txt", "--quota", "500kB")
    assert result.code == 1
    assert "may take 500,000 bytes (--quota)" in result.err
    assert len(cli("list", "--json").json["documents"]) == 2
    assert cli("check").code == 0
    assert cli("index", "more.txt", "--quota", "2 GB", "-q").code == 0
    assert cli("index", "more.txt", "--quota", "much").code == 2
