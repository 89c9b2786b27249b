"""``sharedcli eval``, and the gate of ``ask`` that it measures."""

from __future__ import annotations

import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharedcli.engine.engine import Engine
from sharedcli.retrieve.passages import WINDOWS, cut_windows

Cli = Callable[..., Any]
SIZE = 1024
TOPICS = ("lighthouse oil lamp", "bread oven flour", "violin string bow", "glacier ice crevasse")


def _text(topic: str) -> str:
    words = topic.split()
    return "\n".join(
        f"{words[n % 3].title()} number {n}: the {words[0]} and the {words[1]} cost {n + 3} crowns."
        for n in range(120)
    )


def _records(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


class _Words:
    """A sentence encoder that knows words only: hashed, stop words left out."""

    passage_size = WINDOWS * SIZE

    def encode(self, texts: Sequence[str]) -> Any:
        found = np.zeros((len(texts), SIZE))
        for row, text in enumerate(texts):
            for word in re.findall(r"[a-z]{4,}", text.lower()):
                found[row, zlib.crc32(word.encode()) % SIZE] += 1
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.maximum(lengths, 1e-9)).astype(np.float16)

    def encode_passages(self, texts: Sequence[str], _told: Any = None) -> Any:
        rows = np.zeros((len(texts), WINDOWS, SIZE), np.float16)
        for row, text in enumerate(texts):
            windows = [text[start:end] for start, end in cut_windows(text)]
            rows[row, : len(windows)] = self.encode(windows)
        return rows.reshape(len(texts), -1)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every engine the encoder of words."""
    monkeypatch.setattr(Engine, "encoder", lambda _engine: _Words())


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Four documents with two questions each, one of them multiple choice."""
    path = tmp_path / "mine.jsonl"
    rows = []
    for topic in TOPICS:
        first, second, third = topic.split()
        pairs: list[dict[str, Any]] = [
            {"question": f"Which {third} has the {first} {second}?", "answers": ["cost 45 crowns"]},
            {
                "question": f"Is the {first} {second} there?",
                "answers": ["yes"],
                "choices": ["yes", "no"],
            },
        ]
        rows.append({"context": _text(topic), "qa": pairs})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_perplexity_side_by_side(environment: dict[str, str], cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(_text(TOPICS[0]))
    call = ("eval", "perplexity", "long.txt", "--methods", "none,full,streaming,sharedllm")
    sizes = ("--context", "256,512", "--running", "32", "--limit", "2")
    result = cli(*call, *sizes, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert found["task"] == "perplexity"
    assert [one["method"] for one in found["methods"]] == ["none", "full", "streaming", "sharedllm"]
    for one in found["methods"]:
        assert one["items"] == 4
        assert one["ci"][0] <= one["loss"] <= one["ci"][1]
        assert one["seconds"] > 0
        assert [part["context"] for part in one["parts"]] == [256, 512]
    none, _, _, sharedllm = found["methods"]
    assert sharedllm["loss"] == pytest.approx(none["loss"])  # untrained: the gates are shut
    assert sharedllm["slots"] > 0
    assert "not trained" in sharedllm["caveat"]
    assert {"model", "adapter", "geometry", "seed", "versions", "device", "commit"} <= set(
        found["run"]
    )
    folder = next((tmp_path / "sharedcli-eval").iterdir())
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "| sharedllm * |" in (folder / "report.md").read_text()
    table = cli(*call, *sizes)
    assert table.out.startswith("PERPLEXITY")
    assert "sharedllm: the adapter is not trained" in table.err


def test_ratios_controls_and_the_gap(environment: dict[str, str], cli: Cli, tmp_path: Path) -> None:
    rows = [{"source": f"book {n}", "text": _text(topic)} for n, topic in enumerate(TOPICS[:2])]
    (tmp_path / "books.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    call = ("eval", "perplexity", "books.jsonl", "--methods", "none,full,beacon-like,sharedllm")
    sizes = ("--context", "512", "--running", "32", "--limit", "2", "--chunk-tokens", "128")
    result = cli(*call, *sizes, "--slots-per-node", "4", "--ratios", "4,8", "--controls", "--json")
    assert result.code == 0, result.err
    found = {one["method"]: one for one in result.json["methods"]}
    assert list(found)[:5] == ["none", "full", "beacon-like@r4", "beacon-like@r8", "sharedllm@r4"]
    assert {"sharedllm@r8@shuffled", "sharedllm@r8@other"} <= set(found)
    assert found["sharedllm@r4"]["slots"] == pytest.approx(128, rel=0.2)
    assert found["sharedllm@r8"]["slots"] == pytest.approx(64, rel=0.2)
    assert found["sharedllm@r8"]["compress_seconds"] > 0
    gaps = result.json["gap"]
    assert [one["method"] for one in gaps] == [n for n in found if n.startswith("sharedllm")]
    for one in gaps:
        assert one["items"] == 2
        assert one["none"] == pytest.approx(found["none"]["loss"], abs=1e-4)  # nothing is trained
    assert "harm" not in result.json
    folder = next((tmp_path / "sharedcli-eval").iterdir())
    assert "gap closed" in (folder / "report.md").read_text()
    assert cli(*call, *sizes, "--slots-per-node", "4", "--ratios", "4,8").out.count("GAP") == 1


def test_a_killed_run_goes_on(
    environment: dict[str, str], cli: Cli, tmp_path: Path, questions: Path
) -> None:
    call = ("eval", "qa", str(questions), "--methods", "none,passages", "--max-tokens", "2")
    whole = cli(*call, "-o", "whole", "--json")
    assert cli(*call, "-o", "cut", "-q").code == 0
    records = tmp_path / "cut" / "records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join(lines[:5]) + lines[5][:40])  # what a kill may leave
    (tmp_path / "cut" / "result.json").unlink()
    resumed = cli(*call, "-o", "cut", "--json")
    assert resumed.code == 0, resumed.err
    assert records.read_bytes().startswith(b"".join(lines[:5]))
    assert len(records.read_bytes().splitlines()) == len(lines)
    for one, other in zip(whole.json["methods"], resumed.json["methods"], strict=True):
        assert (one["f1"], one["ci"], one["items"]) == (other["f1"], other["ci"], other["items"])


def test_questions_resume_and_compare(
    environment: dict[str, str], cli: Cli, tmp_path: Path, questions: Path
) -> None:
    call = ("eval", "qa", str(questions), "--methods", "none,passages", "--max-tokens", "4")
    first = cli(*call, "--limit", "3", "-o", "one", "--json")
    assert first.code == 0, first.err
    by_name = {one["method"]: one for one in first.json["methods"]}
    assert set(by_name) == {"none", "passages"}
    assert by_name["none"]["items"] == 3
    assert {"f1", "exact_match", "accuracy"} <= set(by_name["none"])
    records = (tmp_path / "one" / "records.jsonl").read_bytes()
    more = cli(*call, "--limit", "5", "-o", "one", "--json")
    assert more.json["methods"][0]["items"] == 5
    assert (tmp_path / "one" / "records.jsonl").read_bytes().startswith(records)
    lines = _records(tmp_path / "one")
    assert len(lines) == 10
    assert {"question", "prediction", "answers", "prompt_tokens"} <= set(lines[0]["detail"])
    assert cli(*call, "-o", "two", "--seed", "1", "-q").code == 0
    compared = cli("eval", "compare", "one", "two", "--json")
    assert compared.code == 0
    assert [one["items"] for one in compared.json["paired"]] == [3, 3]  # f1 of free answers
    assert compared.json["differing"]["seed"] == [0, 1]
    assert "COMPARED" in cli("eval", "compare", "one", "two").out
    refused = cli(*call, "-o", "one", "--seed", "1")
    assert refused.code == 2
    assert "another setup (seed)" in refused.err


def test_needle_retrieval_and_abstain(
    environment: dict[str, str], cli: Cli, tmp_path: Path, questions: Path, words: None
) -> None:
    (tmp_path / "hay.txt").write_text(_text(TOPICS[1]))
    grid = ("--lengths", "256,512", "--depths", "0,100", "--methods", "none,passages")
    needle = cli("eval", "needle", "hay.txt", *grid, "--json")
    assert needle.code == 0, needle.err
    assert [one["items"] for one in needle.json["methods"]] == [4, 4]
    found = cli("eval", "retrieval", str(questions), "--texts", "2", "--json")
    assert found.code == 0, found.err
    ways = {one["method"]: one for one in found.json["methods"]}
    assert {"words", "vectors", "default", "library", "descent-first-layer"} <= set(ways)
    assert ways["default"]["items"] == 4
    assert 0 < ways["default"]["mrr"] <= 1
    assert ways["default"]["descent"] <= 1.0001
    gate = cli("eval", "abstain", str(questions), "--json")
    assert gate.code == 0, gate.err
    before, *after = gate.json["methods"]
    assert (before["refusal"], before["false_refusal"]) == (0, 0)
    assert [one["method"] for one in after] == ["gate", "late"]
    for one in after:
        assert one["refusal"] > 0.5
        assert one["false_refusal"] == 0
    whole = cli("eval", "abstain", str(questions), "--texts", "9")
    assert (whole.code, "about one document" in whole.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("qa", "nothere.jsonl"), 1, "nothere.jsonl cannot be read"),
        (("qa", "bad.jsonl"), 2, "bad.jsonl, line 1: the field 'answers' is missing"),
        (("qa", "good.jsonl", "--methods", "magic"), 2, "there is no method 'magic'"),
        (("perplexity", "short.txt", "--context", "9K"), 2, "no document has"),
        (("perplexity", "short.txt", "--context", "many"), 2, "--context takes tokens"),
        (("perplexity", "short.txt", "--only", "zebra"), 2, "is called like zebra"),
        (("perplexity", "empty.jsonl"), 2, "there is no text in empty.jsonl"),
        (("perplexity", "folder"), 1, "is a folder"),
        (("perplexity", "bytes.bin"), 1, "is no text and no known document format"),
        (("perplexity", "short.txt", "--ratios", "0.5"), 2, "--ratios takes tokens per slot"),
        (("qa", "empty.jsonl"), 2, "no usable question in empty.jsonl"),
        (("qa", "folder"), 1, "folder is a folder"),
        (("qa", "bytes.bin"), 2, "bytes.bin, line 1: not JSON"),
        (("qa", "lost.jsonl"), 1, "lost.jsonl, line 1: there is no file gone.pdf"),
        (("qa", "good.jsonl", "--methods", "none@r8"), 2, "behind none may stand @adapted"),
        (("needle", "empty.txt"), 1, "empty.txt: is empty"),
        (("retrieval", "empty.jsonl"), 2, "no usable question in empty.jsonl"),
        (("needle", "short.txt", "--depths", "120"), 2, "--depths takes percents"),
        (("retrieval", "good.jsonl", "--methods", "x"), 2, "there is no ranking 'x'"),
        (("abstain", "good.jsonl"), 2, "all questions are about one document"),
        (("compare", "no", "where"), 10, "holds no records.jsonl"),
    ],
)
def test_one_clear_sentence(  # noqa: PLR0917
    environment: dict[str, str],
    cli: Cli,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    (tmp_path / "short.txt").write_text("A short text.")
    (tmp_path / "bad.jsonl").write_text('{"input": "q", "context": "c", "dataset": "qasper"}\n')
    (tmp_path / "empty.txt").touch()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes.bin").write_bytes(bytes(range(256)) * 8)
    lost = {"file": "gone.pdf", "question": "q", "answer": "a"}
    (tmp_path / "lost.jsonl").write_text(json.dumps(lost) + "\n")
    pair = {"question": "q", "answers": ["forty-five crowns"]}
    row = {"context": "It cost forty-five crowns.", "qa": [pair]}
    (tmp_path / "good.jsonl").write_text(json.dumps(row) + "\n")
    result = cli("eval", *arguments)
    assert result.code == code, result.err
    assert sentence in result.err
    assert result.err.count("error: ") == 1


def test_ask_refuses_what_is_not_there(
    environment: dict[str, str], cli: Cli, tmp_path: Path, words: None
) -> None:
    (tmp_path / "lamp.txt").write_text(_text(TOPICS[0]))
    assert cli("index", "lamp.txt", "-q").code == 0
    there = cli("ask", "What does the lighthouse oil cost?", "--json")
    assert (there.code, there.json["found"]) == (0, True)
    foreign = "Which composer wrote symphonies during exile?"
    refused = cli("ask", foreign)
    assert (refused.code, refused.out) == (4, "")
    assert "seems to answer this; the nearest is part 1 of lamp.txt (--abstain" in refused.err
    assert refused.err.splitlines()[-1].startswith("not found: ")
    assert cli("ask", foreign, "--json").json["found"] is False
    anyway = cli("ask", foreign, "--abstain", "never", "--json")
    assert (anyway.code, anyway.json["found"]) == (0, True)


def test_a_later_turn_is_refused_unless_it_refers_back(
    environment: dict[str, str],
    cli: Cli,
    tmp_path: Path,
    words: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "lamp.txt").write_text(_text(TOPICS[0]))
    assert cli("index", "lamp.txt", "-q").code == 0
    turns = (
        "What does the lighthouse oil cost?",
        "Which composer wrote symphonies during exile?",
        "And what has it to do with symphonies of exile?",
        "Could you name the composer of symphonies in exile?",
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(turn + "\n" for turn in turns)))
    assert [turn["found"] for turn in cli("chat", "--json").lines] == [True, False, True, True]
