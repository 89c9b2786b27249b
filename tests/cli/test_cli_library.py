"""``list``, ``show``, ``rm``, ``status``, ``stats``, ``check``, ``gc`` and ``path``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_list(library: Path, cli: Cli) -> None:
    result = cli("list")
    assert result.code == 0
    heading, *lines = result.out.splitlines()
    assert heading.split() == ["ID", "PAGES", "TOKENS", "SIZE", "ADDED", "DOCUMENT"]
    assert [line.split()[-1] for line in lines] == ["halvard-ridge.pdf", "notes.txt"]
    assert lines[0].split()[1] == "8"
    assert all(line == line.rstrip() for line in result.out.splitlines())
    assert cli("list", "notes*").out.count("\n") == 2


def test_list_tells_files_of_one_name_apart(
    library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = library / "other"
    other.mkdir()
    (other / "notes.txt").write_text("Other notes of another day, about the fog and the bell.\n")
    monkeypatch.chdir(other)
    assert cli("index", "notes.txt").code == 0
    names = [line.split()[-1] for line in cli("list").out.splitlines()[1:]]
    assert sorted(names) == sorted(
        ["halvard-ridge.pdf", str(library / "notes.txt"), str(other / "notes.txt")]
    )


def test_list_as_json(library: Path, cli: Cli) -> None:
    documents = cli("list", "--json").json["documents"]
    first = documents[0]
    assert first["source"] == "halvard-ridge.pdf"
    assert first["title"] == "The Halvard Ridge Weather Station"
    assert (first["pages"], first["paged"]) == (8, True)
    assert len(first["id"]) == 12
    assert first["tokens"] > 0


def test_an_empty_library_is_no_failure(library: Path, cli: Cli) -> None:
    assert cli("rm", "*", "--yes").code == 0
    result = cli("list")
    assert (result.code, result.out) == (0, "")
    assert "no documents yet" in result.err
    assert cli("list", "--json").json["documents"] == []
    assert cli("ask", "why?").code == 10


def test_show(library: Path, cli: Cli) -> None:
    out = cli("show", "halvard-ridge.pdf").out
    assert "The Halvard Ridge Weather Station" in out
    assert "8 pages (printed i to 6)" in out
    assert "chunks of 256 tokens, depth 2, 8 slots per node" in out
    found = cli("show", "halvard-ridge.pdf", "--json").json
    assert found["made_by"]["geometry"]["chunk_tokens"] == 256
    assert [page["label"] for page in found["page_list"]][:3] == ["i", "ii", "1"]


def test_show_text_of_a_page_by_number_or_label(library: Path, cli: Cli) -> None:
    by_number = cli("show", "halvard-ridge.pdf", "--page", "7").out
    assert by_number.startswith("5. The year in measurements")
    assert cli("show", "halvard-ridge.pdf", "--page", "II").out.startswith("Contents")
    assert cli("show", "halvard-ridge.pdf", "--page", "7", "--json").json["label"] == "5"
    missing = cli("show", "halvard-ridge.pdf", "--page", "9")
    assert missing.code == 2
    assert "pages 1 to 8" in missing.err
    whole = cli("show", "halvard-ridge.pdf", "--text")
    assert by_number.strip() in whole.out
    assert cli("show", "halvard-ridge.pdf", "--text", "--json").json["text"].strip() in whole.out


def test_rm_asks_nothing_without_a_terminal(library: Path, cli: Cli) -> None:
    refused = cli("rm", "notes.txt")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert cli("rm", "notes.txt", "--json").code == 2
    removed = cli("rm", "notes.txt", "--yes", "--json")
    assert [one["source"] for one in removed.json["removed"]] == ["notes.txt"]
    assert "notes.txt" not in cli("list").out
    assert Path("notes.txt").exists()
    assert cli("rm", "notes.txt", "--yes").code == 10


def test_status_lists_failed_files(library: Path, cli: Cli) -> None:
    assert "no file has failed" in cli("status", "--failed").err
    Path("empty.txt").touch()
    cli("index", "empty.txt")
    result = cli("status")
    assert "documents  2 (" in result.out
    assert "failed     1 file" in result.out
    failed = cli("status", "--failed")
    assert failed.out.splitlines()[1].split()[2] == "empty.txt"
    assert "is empty" in failed.out
    as_json = cli("status", "--json").json
    assert as_json["documents"] == 2
    assert as_json["failed"][0]["source"] == str(Path("empty.txt").absolute())
    assert set(cli("status", "--failed", "--json").json) == {"schema_version", "failed"}
    Path("empty.txt").write_text("The lamp is lit.")
    cli("index", "empty.txt")
    assert cli("status", "--json").json["failed"] == []


def test_stats_check_and_gc(library: Path, cli: Cli) -> None:
    stats = cli("stats", "--json").json
    assert stats["documents"] == 2
    assert stats["bytes_per_token"] > 0
    assert "per token" in cli("stats").out
    check = cli("check")
    assert check.code == 0
    assert check.out.startswith("clean: 2 documents, ")
    assert cli("check", "--json").json["clean"] is True
    assert cli("gc", "--json").json["files"] == 0
    assert "removed 0 files" in cli("gc").err


def test_path(cli: Cli, tmp_path: Path) -> None:
    assert cli("path").out == f"{tmp_path / 'store'}\n"
    found = cli("path", "--store", "elsewhere", "--json").json
    assert (found["store"], found["exists"]) == ("elsewhere", False)


@pytest.mark.skipif("os.name != 'posix'", reason="such names are legal on POSIX only")
def test_hostile_names_and_titles(library: Path, cli: Cli) -> None:
    name = "a\x1b[31mb\u202e[bold]c.md"
    Path(name).write_text("# Title \x1b]0;x\x07[red]y[/red]\n\nThe lamp is lit.\n")
    shown = cli("index", name, "--force")
    outputs = [shown.out + shown.err]
    doc = next(d["id"] for d in cli("list", "--json").json["documents"] if "bold" in d["source"])
    for command in (
        ["list"],
        ["list", "--json"],
        ["show", doc],
        ["show", doc, "--text"],
        ["show", doc, "--json"],
        ["tree", doc, "--chunk", "0"],
        ["tree", doc, "--json"],
        ["ask", "Is the lamp lit?", "--doc", doc],
        ["ask", "Is the lamp lit?", "--doc", doc, "--json"],
        ["rm", doc, "--yes"],
    ):
        result = cli(*command)
        assert result.code == 0, command
        outputs.append(result.out + result.err)
    assert not set("".join(outputs)) & set("\x1b\x07\u202e")
    assert all("[bold]c" in output for output in outputs[:3])
