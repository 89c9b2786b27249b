"""No control, escape or bidirectional character of a document or model reaches the terminal.

In text, titles, labels, quotes, notes and file names; as data, as JSON, with colours and without;
and in the answer, cut at every byte.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.answer.answer import Answer, Evidence, Timings, Usage
from sharedcli.answer.citations import Citation
from sharedcli.answer.stream import decode_stream
from sharedcli.engine.engine import Engine

Cli = Callable[..., Any]

C0 = [chr(code) for code in range(0x20) if chr(code) not in "\n\t"] + ["\x7f"]
C1 = [chr(code) for code in range(0x80, 0xA0)]
BIDI = [chr(c) for c in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
SEQUENCES = [
    "\x1b[31mred",
    "\x1b[2J\x1b[H",
    "\x1b[8;1;1t",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gi=1;AAAA\x1b\\",
    "\x1bc",
    "\x1b(0",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x1b[200~pasted\x1b[201~",
    "\x1b\x1b[A",
    "a\rb\x08c",
]
PAYLOADS = [*C0, *C1, *BIDI, *SEQUENCES]
FORBIDDEN = re.compile("[" + "".join(map(re.escape, [*C0, *C1, *BIDI])) + "]")
COLOUR = re.compile("\x1b\\[[0-9;]*m")
MODES: dict[str, tuple[str, ...]] = {"plain": (), "json": ("--json",), "quiet": ("-q",)}


def answer(payload: str, pieces: list[str]) -> Answer:
    dirty = f"x{payload}y"
    citation = Citation(f"{dirty}.pdf", "0" * 12, dirty, 1, dirty, dirty, 0.5)
    return Answer(
        question=dirty,
        found=True,
        sources=(citation,),
        evidence=Evidence(1, 0, 0, (), dirty),
        usage=Usage(1, 0, 0, 3),
        timings=Timings(),
        model=dirty,
        adapter=dirty,
        _pieces=lambda _: iter(pieces),
    )


@pytest.mark.parametrize("colour", ["", "1"])
@pytest.mark.parametrize("mode", MODES)
def test_no_payload_in_any_mode(
    library: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, mode: str, colour: str
) -> None:
    """Every payload, in answer and evidence, cut after every character."""
    monkeypatch.setenv("FORCE_COLOR", colour)
    given: list[Answer] = []
    monkeypatch.setattr(Engine, "ask", lambda *_a, **_o: given[-1])
    for payload in PAYLOADS:
        given.append(answer(payload, list(f"before {payload} after")))
        result = cli("ask", "what?", *MODES[mode])
        assert result.code == 0
        for stream in (result.out, result.err):
            shown = COLOUR.sub("", stream) if colour else stream
            assert not FORBIDDEN.search(shown), (payload, shown)
        assert "before" in result.out
    assert len(given) == len(PAYLOADS) > 90


def test_the_answer_cut_at_every_byte(tiny_base: Callable[..., Any]) -> None:
    """Tokens of one byte each: the finest cut that a decoder can make, and every coarser pair."""
    tokenizer = tiny_base("llama").tokenizer
    letters = _byte_tokens(tokenizer)
    for payload in PAYLOADS:
        text = f"é{payload}ü"
        whole = "".join(decode_stream(tokenizer, [letters[b] for b in text.encode()]))
        assert not FORBIDDEN.search(whole), payload
        assert whole.startswith("é")
    for first, second in itertools.product(SEQUENCES, repeat=2):
        tokens = [letters[byte] for byte in (first + second).encode()]
        assert not FORBIDDEN.search("".join(decode_stream(tokenizer, tokens)))


def _byte_tokens(tokenizer: Any) -> list[int]:
    """The token of each byte, in a byte-level vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocabulary = tokenizer.get_vocab()
    return [vocabulary[letter] for _, letter in sorted(bytes_to_unicode().items())]


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_documents_and_file_names(cli: Cli, environment: dict[str, str], mode: str) -> None:
    """Indexed, listed, shown, drawn and asked about, from a folder full of payloads."""
    folder = Path("papers")
    folder.mkdir()
    for number, payload in enumerate(SEQUENCES):
        name = payload.replace("/", "_").replace("\0", "")
        text = f"The lamp {payload} burned oil {payload}.\n"
        (folder / f"{number} {name}.txt").write_text(text * 3, encoding="utf-8", newline="")
    (folder / "\x1b[31mempty.txt").touch()
    flags = MODES[mode]
    runs: list[tuple[str, ...]] = [
        ("index", "papers"),
        ("index", "papers"),
        ("index", "papers", "-n"),
        ("list",),
        ("show", "papers/0*"),
        ("show", "papers/0*", "--page", "1"),
        ("tree", "papers/0*", "--query", "lamp"),
        ("status", "--failed"),
        ("ask", "What burned oil?"),
        ("ask", "What burned oil?", "--doc", "\x1b]0;x\x07"),
        ("check",),
        ("export", "papers/1 *", "-o", "\x1b[31mout.tree"),
    ]
    for run in runs:
        result = cli(*run, *flags)
        for stream in (result.out, result.err):
            assert not FORBIDDEN.search(stream), (run, stream)
    assert len(cli("list", "--json").json["documents"]) == len(SEQUENCES)
