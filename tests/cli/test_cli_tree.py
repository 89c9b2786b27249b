"""``sharedcli tree``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Cli = Callable[..., Any]
QUERY = "What was the strongest gust of wind ever measured?"


def test_chunks_and_pages(library: Path, cli: Cli) -> None:
    found = cli("tree", "halvard-ridge.pdf", "--json").json
    chunks = found["chunks"]
    assert found["geometry"]["chunk_tokens"] == 256
    assert len(chunks) == found["document"]["chunks"]
    assert [chunk["tokens"][0] for chunk in chunks] == [256 * i for i in range(len(chunks))]
    assert chunks[-1]["tokens"][1] == found["document"]["tokens"]
    assert (chunks[0]["pages"][0], chunks[-1]["pages"][1]) == (1, 8)
    drawn = cli("tree", "halvard-ridge.pdf").out
    assert drawn.splitlines()[0] == "halvard-ridge.pdf"
    assert drawn.count("chunk ") == len(chunks)
    assert "16 → 8 tokens per slot" in drawn


def test_one_chunk_has_all_its_nodes(library: Path, cli: Cli) -> None:
    found = cli("tree", "halvard-ridge.pdf", "--chunk", "1", "--json").json
    nodes = found["chunks"][1]["nodes"]
    assert "nodes" not in found["chunks"][0]
    assert [node["level"] for node in nodes] == [1, 1, 2, 2, 2, 2]
    assert nodes[0]["tokens"] == [256, 384]
    assert (nodes[0]["slots"], nodes[0]["ratio"]) == (8, 16.0)
    drawn = cli("tree", "halvard-ridge.pdf", "--chunk", "1").out
    assert drawn.count("level 2") == 4
    assert "not drawn" in drawn
    assert "not opened" not in drawn
    assert "tokens 256–383" in drawn


def test_query_marks_what_would_be_opened(library: Path, cli: Cli) -> None:
    arguments = ("tree", "halvard-ridge.pdf", "--query", QUERY, "--budget", "48")
    found = cli(*arguments, "--json").json
    opened = [
        node for chunk in found["chunks"] for node in chunk.get("nodes", ()) if node["opened"]
    ]
    assert 0 < found["slots_opened"] <= 48
    assert sum(node["slots"] for node in opened) == found["slots_opened"]
    assert any(7 in range(node["pages"][0], node["pages"][1] + 1) for node in opened)
    assert max(node["score"] for node in opened) > 0
    drawn = cli(*arguments).out
    assert drawn.count("● tokens") == len(opened)
    assert "score" in drawn
    assert f"{len(opened)} nodes" in drawn.splitlines()[-1]


def test_nothing_opened_is_said(library: Path, cli: Cli) -> None:
    result = cli("tree", "notes.txt", "--query", "zyzzyva quokka")
    assert result.code == 0
    assert "no node is opened" in result.out


def test_wrong_use(library: Path, cli: Cli) -> None:
    assert cli("tree", "notes.txt", "--chunk", "99").code == 2
    assert cli("tree", "notes.txt", "--query", " ").code == 2
    assert cli("tree", "*").code == 2
