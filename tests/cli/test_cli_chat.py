"""``sharedcli chat``."""

from __future__ import annotations

import io
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sharedcli.engine.engine import Engine

Cli = Callable[..., Any]
OIL = "How many litres of colza oil did the lamp burn?"


@pytest.fixture
def talk(library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Chat with these lines on a pipe."""

    def chat(*lines: str, flags: tuple[str, ...] = ()) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(line + "\n" for line in lines)))
        return cli("chat", *flags)

    return chat


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], list[tuple[str, str]]]]:
    """What the engine is asked: question, documents, history."""
    calls: list[tuple[str, list[str], list[tuple[str, str]]]] = []
    real = Engine.ask

    def ask(self: Engine, question: str, documents: Any = (), *, history: Any = ()) -> Any:
        calls.append((question, list(documents), list(history)))
        return real(self, question, documents, history=history)

    monkeypatch.setattr(Engine, "ask", ask)
    return calls


def test_turns_know_of_each_other(talk: Callable[..., Any], asked: list[Any]) -> None:
    result = talk(OIL, "", "And the fog bell?", "/clear", OIL, "/quit", "never asked")
    assert result.code == 0
    assert [question for question, _, _ in asked] == [OIL, "And the fog bell?", OIL]
    assert [len(history) for _, _, history in asked] == [0, 1, 0]
    question, answer = asked[1][2][0]
    assert question == OIL
    assert result.out.splitlines()[0].strip() == answer.splitlines()[0]
    assert "notes.txt" in result.err
    assert "Sources" not in result.out


def test_a_cut_answer_is_said_to_be_cut(talk: Callable[..., Any]) -> None:
    told = talk(OIL, flags=("--max-tokens", "1")).err
    assert " · confidence 0." in told
    assert " · cut there (--max-tokens)\n" in told


def test_documents_can_be_chosen(talk: Callable[..., Any], asked: list[Any]) -> None:
    result = talk("/doc *.pdf", OIL, "/doc nothing.txt", OIL, "/doc all", OIL, "/doc")
    assert [documents for _, documents, _ in asked] == [["*.pdf"], ["*.pdf"], []]
    assert "no document matches 'nothing.txt'" in result.err
    assert result.code == 0


def test_sources_and_tree_of_the_last_answer(talk: Callable[..., Any]) -> None:
    result = talk("/sources", OIL, "/sources", "/tree")
    assert "nothing has been asked yet" in result.err
    assert "Sources" in result.err
    assert "● opened" in result.err
    assert "Sources" not in result.out
    assert "●" not in result.out


def test_the_tree_is_that_of_what_was_searched_for(talk: Callable[..., Any]) -> None:
    trees = talk(OIL, "Why?", "/tree", flags=("--json", "--abstain", "never")).lines[2:]
    assert {tree["query"] for tree in trees} == {f"Why? {OIL}"}
    assert "no node is opened" in talk("zyzzyva quokka?", "/tree").err


def test_names_with_spaces_can_be_chosen(talk: Callable[..., Any], library: Path) -> None:
    result = talk('/doc "an old book.txt"', "/doc Bob's book", "/doc 'notes*'")
    assert "no document matches 'an old book.txt'" in result.err
    assert 'no document matches "Bob\'s"' in result.err
    assert result.err.rstrip().endswith("notes.txt")


def test_json_lines(talk: Callable[..., Any]) -> None:
    result = talk("/doc", OIL, "/sources", "/tree", "/nonsense", flags=("--json",))
    documents, answer, sources, *trees, error = result.lines
    assert len(documents["documents"]) == 2
    assert (answer["turn"], answer["found"]) == (1, True)
    assert sources["sources"] == answer["citations"]
    assert {tree["query"] for tree in trees} == {OIL}
    assert error["error"]["exit_code"] == 2


def test_a_question_without_evidence_does_not_end_the_chat(talk: Callable[..., Any]) -> None:
    result = talk("zzyzx qwertz", OIL)
    assert result.code == 0
    assert "not found" in result.err
    assert result.out.strip()


def test_an_empty_library_is_told_at_once(cli: Cli, environment: dict[str, str]) -> None:
    assert cli("chat").code == 10


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    talk: Callable[..., Any], asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharedcli.model.decoder import Decoder

    real = Decoder.generate

    def interrupted(self: Decoder, *arguments: Any) -> Iterator[int]:
        for count, token in enumerate(real(self, *arguments)):
            if count == 4 and len(asked) == 1:
                signal.raise_signal(signal.SIGINT)
            yield token

    monkeypatch.setattr(Decoder, "generate", interrupted)
    result = talk(OIL, OIL)
    assert result.code == 0
    assert "stopped" in result.err
    assert len(asked) == 2
    (kept,) = asked[1][2]
    assert kept[0] == OIL
    assert kept[1]
    assert "unexpected" not in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_on_a_terminal(library: Path, environment: dict[str, str]) -> None:
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-m", "sharedcli", "chat", "--no-color"],
        env={**environment, "TERM": "xterm"},  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=100,
    )
    child.expect_exact("\n> ")
    child.sendintr()
    child.expect_exact("/quit or Ctrl-D leaves")
    child.expect_exact("> ")
    child.sendline(OIL)
    child.expect_exact("notes.txt")
    child.expect_exact("> ")
    time.sleep(0.1)
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
