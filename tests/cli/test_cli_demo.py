"""``sharedcli demo`` and the sample that it uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_pdf import SAMPLES, make_pdf

from sharedcli.cli.demo import QUESTIONS, SAMPLE
from sharedcli.ingest.reader import read_document

Cli = Callable[..., Any]


def test_the_pdf_is_made_from_the_text() -> None:
    text = (SAMPLES / "halvard-ridge.txt").read_text(encoding="utf-8")
    assert (SAMPLES / SAMPLE).read_bytes() == make_pdf(text)


def test_the_sample_reads_as_it_was_written() -> None:
    document = read_document(SAMPLES / SAMPLE)
    assert document.title == "The Halvard Ridge Weather Station"
    assert [page.label for page in document.pages] == ["i", "ii", *"123456"]
    assert document.warnings == ()
    written = (SAMPLES / "halvard-ridge.txt").read_text(encoding="utf-8").split("\n===\n")
    for page, text in zip(document.pages, written, strict=True):
        read = document.text[page.start : page.end].split()
        assert read[: len(text.split())] == text.split()


def test_demo_shows_its_commands_and_cites(cli: Cli, tmp_path: Path) -> None:
    result = cli("demo", "--store", "demo")
    assert result.code == 0
    assert result.err.count("$ sharedcli ") == 1 + len(QUESTIONS)
    for question in QUESTIONS:
        assert f'"{question}"' in result.err
    assert result.err.count("Sources") == len(QUESTIONS)
    assert not (tmp_path / "store").exists()
    assert cli("list", "--store", "demo", "--json").json["documents"][0]["source"].endswith(SAMPLE)


def test_demo_keeps_out_of_the_users_library(library: Path, cli: Cli) -> None:
    assert cli("demo", "--cache", "cache", "--json").code == 0
    assert (library / "cache" / "demo-store").is_dir()
    assert len(cli("list", "--json").json["documents"]) == 2
