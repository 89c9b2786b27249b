"""``sharedcli ask --file``: about files that are not indexed, and of which nothing is kept."""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter
from sample_pdf import make_pdf

Cli = Callable[..., Any]
QUESTION = "How many litres of colza oil did the lamp burn?"
TEXT = "The lamp burned four litres of colza oil in a winter night.\n"


@pytest.fixture(autouse=True)
def scratch(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of the command go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_nothing_is_kept(cli: Cli, tmp_path: Path, scratch: Path) -> None:
    Path("lamp.txt").write_text(TEXT, "utf-8")
    result = cli("ask", QUESTION, "--file", "lamp.txt", "--json")
    assert result.code == 0
    (citation,) = result.json["citations"]
    assert Path(citation["doc"]).name == "lamp.txt"
    assert "colza oil" in citation["quote"]
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "store").exists()
    assert cli("list").code != 0  # there is no store


def test_the_store_is_neither_read_nor_changed(cli: Cli, library: Path) -> None:
    Path("other.txt").write_text("A lamp that burns no oil at all.\n", "utf-8")
    before = cli("list", "--json").json
    result = cli("ask", QUESTION, "-f", "other.txt", "--json", "--abstain", "never")
    assert {Path(one["doc"]).name for one in result.json["citations"]} == {"other.txt"}
    assert cli("list", "--json").json == before


def test_it_says_what_an_index_says(cli: Cli, library: Path) -> None:
    options = ["--inject", "always", "--passages", "1"]
    indexed = cli("ask", QUESTION, "--doc", "notes.txt", "--json", *options).json
    read = cli("ask", QUESTION, "--file", "notes.txt", "--json", *options).json
    assert read["answer"] == indexed["answer"]
    assert read["usage"]["slots"] == indexed["usage"]["slots"] > 0
    assert [one["quote"] for one in read["citations"]] == [
        one["quote"] for one in indexed["citations"]
    ]


def test_what_was_left_out_is_told(cli: Cli) -> None:
    pages = PdfWriter(io.BytesIO(make_pdf(TEXT)))
    pages.add_blank_page(100, 100)
    pages.write("scan.pdf")
    told = cli("ask", QUESTION, "--file", "scan.pdf", "--abstain", "never").err
    assert "note: scan.pdf: " in told
    assert "without a text layer" in told


def test_options_about_what_is_kept_are_told_to_change_nothing(cli: Cli) -> None:
    Path("lamp.txt").write_text(TEXT, "utf-8")
    result = cli("ask", QUESTION, "--file", "lamp.txt", "--slot-format", "int8", "--embed", "index")
    assert result.code == 0
    for flag in ("--slot-format", "--embed"):
        assert f"{flag} changes nothing here" in result.err
    assert "--store" not in result.err
    assert "changes nothing" not in cli("ask", QUESTION, "--file", "lamp.txt").err


def test_folders_stdin_and_many_questions(
    cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("folder").mkdir()
    for name in ("a.txt", "b.txt"):
        Path("folder", name).write_text(TEXT.replace("lamp", name), "utf-8")
    result = cli("ask", QUESTION, "--file", "folder", "--json")
    assert {Path(one["doc"]).name for one in result.json["citations"]} == {"a.txt", "b.txt"}
    chosen = cli("ask", QUESTION, "--file", "folder", "--doc", "b.txt", "--json")
    assert {Path(one["doc"]).name for one in chosen.json["citations"]} == {"b.txt"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert cli("ask", QUESTION, "--file", "-", "--json").json["citations"][0]["doc"] == "-"
    Path("questions.jsonl").write_text(json.dumps(QUESTION) + "\n" + json.dumps(QUESTION), "utf-8")
    many = cli("ask", "--questions", "questions.jsonl", "--file", "folder")
    assert many.code == 0
    assert len(many.lines) == 2


@pytest.mark.parametrize("name", ["missing.txt", "empty.txt"])
def test_what_cannot_be_read_is_one_sentence(cli: Cli, name: str, scratch: Path) -> None:
    Path("empty.txt").write_text(" \n", "utf-8")
    result = cli("ask", QUESTION, "--file", name)
    assert result.code == 1
    assert result.out == ""
    assert name in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert list(scratch.iterdir()) == []


def test_what_cannot_be_read_beside_others_is_told(cli: Cli) -> None:
    Path("lamp.txt").write_text(TEXT, "utf-8")
    result = cli("ask", QUESTION, "--file", "lamp.txt", "--file", "missing.txt")
    assert result.code == 0
    assert result.out.strip()
    assert "missing.txt" in result.err


def test_an_empty_folder_and_two_uses_of_stdin(cli: Cli) -> None:
    Path("folder").mkdir()
    nothing = cli("ask", QUESTION, "--file", "folder")
    assert nothing.code == 2
    assert "nothing to read in folder" in nothing.err
    twice = cli("ask", "-", "--file", "-")
    assert twice.code == 2
    assert "not both" in twice.err


def test_a_conversation(cli: Cli, monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    Path("lamp.txt").write_text(TEXT, "utf-8")
    questions = io.TextIOWrapper(io.BytesIO(f"{QUESTION}\nAnd in summer?\n".encode()))
    monkeypatch.setattr(sys, "stdin", questions)
    result = cli("chat", "--file", "lamp.txt", "--json")
    assert result.code == 0
    assert [line["citations"][0]["paragraph"] for line in result.lines] == [1, 1]
    assert list(scratch.iterdir()) == []
    assert cli("chat", "--file", "-").code == 2
