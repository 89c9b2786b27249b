"""``sharedcli ask``."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.answer.answer import Answer, Evidence, OpenedChunk, Timings, Usage
from sharedcli.answer.citations import Citation
from sharedcli.answer.corrections import Correction
from sharedcli.cli.render_answer import below_turn
from sharedcli.engine.engine import Engine

Cli = Callable[..., Any]
QUESTION = "How many litres of colza oil did the lamp burn?"


def _answer(*pieces: str, **changes: Any) -> Answer:
    citation = Citation("report.pdf", "0123456789ab", "Report", 12, "iv", "Oil rose.", 0.5)
    fields: dict[str, Any] = {
        "question": "What rose?",
        "found": True,
        "sources": (citation,),
        "evidence": Evidence(2, 64, 512, (OpenedChunk("report.pdf", 0, 0.5, ((1, 0),)),)),
        "usage": Usage(100, 64, 512, len(pieces)),
        "timings": Timings(load=1.0, search=0.1),
        "model": "tiny",
        "adapter": "none",
        "_pieces": lambda _: iter(pieces),
    }
    return Answer(**{**fields, **changes})


@pytest.fixture
def answers(library: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Let the engine give a certain answer."""

    def give(answer: Answer) -> None:
        monkeypatch.setattr(Engine, "ask", lambda *_a, **_o: answer)

    return give


def test_answer_on_stdout_and_everything_else_on_stderr(library: Path, cli: Cli) -> None:
    result = cli("ask", QUESTION)
    assert result.code == 0
    assert result.out.endswith("\n")
    assert "Sources" not in result.out
    assert "notes.txt" in result.err
    assert "colza oil" in result.err
    assert " verbatim" in result.err
    assert "no trained adapter" in result.err
    quiet = cli("ask", QUESTION, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, result.out, "")


def test_json_has_the_whole_answer(library: Path, cli: Cli) -> None:
    plain = cli("ask", QUESTION)
    result = cli("ask", QUESTION, "--json")
    assert result.code == 0
    found = result.json
    assert set(found) == {
        "schema_version",
        "question",
        "answer",
        "found",
        "unstated",
        "confidence",
        "corrected",
        "unsupported",
        "citations",
        "evidence",
        "usage",
        "timings",
        "model",
        "adapter",
    }
    assert found["schema_version"] == 1
    assert found["question"] == QUESTION
    assert found["found"] is True
    assert found["answer"] == plain.out.strip()
    best = found["citations"][0]
    assert (best["doc"], best["page"], best["verbatim"]) == ("notes.txt", 1, True)
    assert "colza oil" in best["quote"]
    assert best["score"] > 0
    assert found["usage"]["prompt_tokens"] > 0
    assert 0 < found["usage"]["answer_tokens"] <= 8
    assert set(found["timings"]) == {
        "load",
        "search",
        "inject",
        "first_token",
        "decode",
        "total",
    }
    assert found["adapter"] == "none"


def test_a_source_that_says_the_answer_word_for_word_is_marked(
    answers: Callable[[Answer], None], cli: Cli
) -> None:
    page = "It was cold. In March the\noil rose by four litres. Then it fell."
    sources = tuple(
        Citation(doc, doc[0] * 12, "t", 3, None, "quote", 0.5, around=around)
        for doc, around in (("a.pdf", "Nothing."), ("b.pdf", page))
    )
    pieces = ("In March the oil rose ", "by four litres.")
    answers(_answer(*pieces, sources=sources))
    plain = [line for line in cli("ask", "what?").err.splitlines() if "p. 3" in line]
    assert ["word for word" in line for line in plain] == [False, True]
    answers(_answer(*pieces, sources=sources))
    found = cli("ask", "what?", "--json").json["citations"]
    assert [(one["doc"], one["stated"]) for one in found] == [("a.pdf", False), ("b.pdf", True)]
    answers(_answer("It rose by many litres then.", sources=sources))
    assert "word for word" not in cli("ask", "what?").err


def test_a_figure_that_a_table_corrects_is_told(
    answers: Callable[[Answer], None], cli: Cli
) -> None:
    answers(
        _answer("It was 6,489.", corrected=(Correction("7,500", "6,489", "Net revenues", "2019"),))
    )
    told = next(line for line in cli("ask", "what?").err.splitlines() if line.startswith("Table"))
    assert told.split(maxsplit=1)[1] == ("6,489 is “Net revenues” of 2019; the model said 7,500")
    answers(
        _answer("It was 6,489.", corrected=(Correction("7,500", "6,489", "Net revenues", "2019"),))
    )
    found = cli("ask", "what?", "--json").json["corrected"]
    assert found == [{"said": "7,500", "instead": "6,489", "row": "Net revenues", "year": "2019"}]
    told = below_turn(_answer("It was 6,489.", corrected=(Correction("7", "8", "A", "2019"),)))
    assert told == "report.pdf p. 12 (printed iv) · 8 is “A” of 2019; the model said 7"
    answers(_answer("It was 6,489."))
    assert "Table" not in cli("ask", "what?").err


def test_what_of_an_answer_stands_in_a_source_and_what_in_none_is_told(
    answers: Callable[[Answer], None], cli: Cli
) -> None:
    sources = tuple(
        Citation(doc, doc[0] * 12, "t", 3, None, "quote", 0.5, around=around)
        for doc, around in (("a.pdf", "Bob Hill was there."), ("b.pdf", "It was 4.5 litres."))
    )
    text = "It was Bob Hill, with 4.5 litres, on 3 May, and on 7 June, and 8 July."
    answers(_answer(text, sources=sources))
    told = cli("ask", "who?").err.splitlines()
    assert "  1  a.pdf, p. 3 · has “Bob Hill”" in told
    assert "  2  b.pdf, p. 3 · has “4.5”" in told
    check = next(line for line in told if line.startswith("Check"))
    assert check.split(maxsplit=1)[1] == (
        "“3 May”, “7 June”, “8 July” stand in none of the sources"
    )
    answers(_answer(text.replace("7 June", "7 June, and on 9 June"), sources=sources))
    assert "“3 May”, “7 June”, “9 June” and more stand in none" in cli("ask", "who?").err
    answers(_answer(text, sources=sources))
    found = cli("ask", "who?", "--json").json
    assert found["unsupported"] == ["3 May", "7 June", "8 July"]
    assert [one["holds"] for one in found["citations"]] == [["Bob Hill"], ["4.5"]]
    answers(_answer("It was Bob Hill.", sources=sources))
    assert "Check" not in cli("ask", "who?").err


@pytest.mark.parametrize(
    ("ended", "told"), [("stop", ""), ("length", "cut there"), ("repetition", "repeat itself")]
)
def test_an_answer_that_did_not_end_by_itself_is_told(
    ended: Any, told: str, answers: Callable[[Answer], None], cli: Cli
) -> None:
    usage = Usage(100, 64, 512, 2, ended=ended)
    answers(_answer("It rose.", usage=usage))
    line = next(line for line in cli("ask", "what?").err.splitlines() if "tokens in" in line)
    assert told in line if told else line.endswith("2 out")
    answers(_answer("It rose.", usage=usage))
    assert cli("ask", "what?", "--json").json["usage"]["ended"] == ended


@pytest.mark.parametrize(
    ("confidence", "told"),
    [(None, None), (0.3, "0.30, low: read the sources"), (0.6, "0.60, fair"), (0.97, "0.97, high")],
)
def test_how_sure_the_decoder_was_is_told(
    confidence: float | None, told: str | None, answers: Callable[[Answer], None], cli: Cli
) -> None:
    answers(_answer("It rose.", confidence=confidence))
    rows = [line.split(maxsplit=1) for line in cli("ask", "what?").err.splitlines() if line]
    assert dict(row for row in rows if len(row) == 2).get("Confidence") == told
    answers(_answer("It rose.", confidence=confidence))
    assert cli("ask", "what?", "--json").json["confidence"] == confidence


def test_injection_is_told(library: Path, cli: Cli) -> None:
    result = cli("ask", QUESTION, "--inject", "always", "--budget", "64")
    assert result.code == 0
    assert "slots for" in result.err
    found = cli("ask", QUESTION, "--inject", "always", "--passages", "0", "--json").json
    assert found["evidence"]["passages"] == 0
    assert found["usage"]["slots"] > 0
    assert found["evidence"]["chunks"][0]["nodes"]


def test_documents_can_be_chosen(library: Path, cli: Cli) -> None:
    for selector in ("notes.txt", "notes*", "./notes.txt"):
        found = cli("ask", QUESTION, "--doc", selector, "--abstain", "never", "--json")
        assert found.code == 0
        assert {one["doc"] for one in found.json["citations"]} == {"notes.txt"}


def test_not_found_is_4(library: Path, cli: Cli) -> None:
    result = cli("ask", "zyzzyva quokka?")
    assert (result.code, result.out) == (4, "")
    assert result.err.splitlines()[-1].startswith("not found: ")
    as_json = cli("ask", "zyzzyva quokka?", "--json")
    assert as_json.code == 4
    assert (as_json.json["found"], as_json.json["answer"]) == (False, "")


def test_question_from_stdin(library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION + "\n"))
    found = cli("ask", "-", "--json").json
    assert found["question"].strip() == QUESTION
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cli("ask", "-").code == 2


def test_printed_labels_and_evidence(answers: Callable[[Answer], None], cli: Cli) -> None:
    answers(_answer(" Oil", " rose."))
    result = cli("ask", "What rose?")
    assert result.out == "Oil rose.\n"
    assert "Sources  report.pdf" in result.err
    assert "p. 12 (printed iv)" in result.err
    assert "2 passages verbatim · 64 slots for 512 tokens of 1 chunk" in result.err


def test_an_empty_answer_is_one_line(answers: Callable[[Answer], None], cli: Cli) -> None:
    answers(_answer())
    assert cli("ask", "What rose?").out == "\n"


def test_no_control_byte_reaches_the_terminal(answers: Callable[[Answer], None], cli: Cli) -> None:
    bad = "\x1b[31mred\x1b]0;title\x07 \x9b1m\u202eevil [bold]x[/bold]"
    citation = Citation(bad, "0" * 12, bad, 1, bad, bad, 0.5)
    for arguments in ((), ("--json",), ("--no-color",)):
        answers(_answer("a\x1b", "[31mb\x1b]52;c;", "eA==\x07c", sources=(citation,)))
        result = cli("ask", "What rose?", *arguments)
        assert result.code == 0
        shown = result.out + result.err
        assert not set(shown) & set("\x1b\x07\x9b\u202e")
        assert "[bold]x[/bold]" in shown
    answers(_answer("a\x1b", "[31mb\x1b]52;c;", "eA==\x07c"))
    assert cli("ask", "What rose?").out == "abc\n"


def test_an_error_while_answering_ends_the_line(
    answers: Callable[[Answer], None], cli: Cli
) -> None:
    def broken(_: Answer) -> Any:
        yield "half an"
        raise MemoryError

    answers(_answer(_pieces=broken))
    result = cli("ask", "What rose?")
    assert (result.code, result.out) == (15, "half an\n")


def test_files_of_the_same_name_are_told_apart(answers: Callable[[Answer], None], cli: Cli) -> None:
    for names, shown in (
        (("a/x.pdf", "b/x.pdf"), ("a/x.pdf", "b/x.pdf")),
        (("x.pdf", "x.pdf"), ("/0/x.pdf", "/1/x.pdf")),
        (("a/x.pdf", "x.pdf", "x.pdf"), ("a/x.pdf", "/1/x.pdf", "/2/x.pdf")),
    ):
        sources = tuple(
            Citation(doc, f"{key}" * 12, "t", 3, None, "quote", 0.5, path=f"/{key}/x.pdf")
            for key, doc in enumerate(names)
        )
        answers(_answer("Yes.", sources=sources))
        err = cli("ask", "What rose?").err
        for name in shown:
            assert f"  {name}, p. 3" in err
    cited = cli("ask", "What rose?", "--json").json["citations"]
    assert not any("path" in one for one in cited)
