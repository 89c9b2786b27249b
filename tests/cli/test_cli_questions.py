"""``sharedcli ask --questions``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.cli.questions import LINE_CHARS, Question, parse
from sharedcli.errors import UsageError

Cli = Callable[..., Any]
OIL = "How many litres of colza oil did the lamp burn?"


def test_many_questions_with_one_load(
    library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharedcli.engine import loading

    loads: list[str] = []
    real = loading.load_model

    def counted(*arguments: Any) -> Any:
        loads.append("load")
        return real(*arguments)

    monkeypatch.setattr(loading, "load_model", counted)
    lines = [
        {"id": 7, "question": OIL},
        {"id": "pdf only", "question": OIL, "doc": "*.pdf"},
        {"question": "zzyzx qwertz"},
        {"id": None, "question": OIL, "doc": ["nothing.txt"]},
        {"quest": OIL},
    ]
    Path("q.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines) + '\n"' + OIL + '"')
    result = cli("ask", "--questions", "q.jsonl")
    assert loads == ["load"]
    answers = result.lines
    assert [one["line"] for one in answers] == [1, 3, 5, 7, 9, 10]
    assert {one["schema_version"] for one in answers} == {1}
    assert [one.get("id") for one in answers[:3]] == [7, "pdf only", None]
    assert answers[0]["citations"][0]["doc"] == "notes.txt"
    assert {one["doc"] for one in answers[1]["citations"]} <= {"halvard-ridge.pdf"}
    assert (answers[2]["found"], answers[2]["answer"]) == (False, "")
    assert answers[3]["error"]["exit_code"] == 10
    assert "nothing.txt" in answers[3]["error"]["message"]
    assert "no question" in answers[4]["error"]["message"]
    assert answers[5]["answer"] == answers[0]["answer"]
    assert result.code == 3
    assert "6 questions: 3 answered, 1 not in the documents, 2 failed" in result.err


def test_documents_of_the_command_hold_where_a_line_names_none(library: Path, process: Cli) -> None:
    result = process("ask", "--questions", "-", "-d", "*.pdf", "-q", stdin=f'"{OIL}"\n')
    assert {one["doc"] for one in result.lines[0]["citations"]} <= {"halvard-ridge.pdf"}
    assert result.err == ""


def test_a_line_that_is_no_utf8_is_a_question_still(library: Path, process: Cli) -> None:
    line = b'"' + OIL.encode() + b' caf\xe9"\n'
    result = process(
        "ask",
        "--questions",
        "-",
        "-q",
        stdin=line.decode("utf-8", "surrogateescape"),
        PYTHONIOENCODING="utf-8",
    )
    assert result.lines[0]["question"].endswith("caf\ufffd")


@pytest.mark.parametrize(
    ("lines", "code"),
    [("", 0), ('"zzyzx"\n', 4), ("nonsense\n", 1), (f'"{OIL}"\n', 0)],
)
def test_exit_codes(library: Path, cli: Cli, lines: str, code: int) -> None:
    Path("q.jsonl").write_text(lines)
    assert cli("ask", "--questions", "q.jsonl").code == code


def test_wrong_use(library: Path, cli: Cli) -> None:
    assert cli("ask").code == 2
    assert cli("ask", OIL, "--questions", "q.jsonl").code == 2
    missing = cli("ask", "--questions", "q.jsonl")
    assert missing.code == 2
    assert "cannot be read" in missing.err


def test_lines() -> None:
    assert parse('"why?"') == Question("why?")
    assert parse('{"question": "why?", "doc": "a"}') == Question("why?", None, ("a",))
    assert parse('{"question": "why?", "id": [1], "doc": ["a", "b"]}') == Question(
        "why?", [1], ("a", "b")
    )
    for line in ("", "{", "3", "[]", "{}", '{"question": 3}', "[" * 100_000, "x" * LINE_CHARS * 2):
        with pytest.raises(UsageError):
            parse(line)
    for line in ('{"question": "a", "doc": 3}', '{"question": "a", "doc": [3]}'):
        with pytest.raises(UsageError, match="doc"):
            parse(line)
    for given in ('""', '" "', "false", "0", '["a", ""]', '"\\ud800.pdf"'):
        with pytest.raises(UsageError, match='"doc"'):
            parse(f'{{"question": "a", "doc": {given}}}')
    for given in ("null", "[]"):
        assert parse(f'{{"question": "a", "doc": {given}}}') == Question("a")
    for given in ("NaN", "-Infinity", "1e999", "[" * 900 + "]" * 900):
        with pytest.raises(UsageError, match=r"JSON"):
            parse(f'{{"question": "a", "id": {given}}}')
    with pytest.raises(UsageError, match="unknown key 'documents'"):
        parse('{"question": "a", "documents": []}')
