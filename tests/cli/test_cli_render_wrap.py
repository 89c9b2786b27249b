from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sharedcli.cli.render_wrap import WordWrap


def wrapped(text: str, width: int, size: int = 1000) -> str:
    wrap = WordWrap(width)
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    return "".join(wrap.feed(piece) for piece in pieces) + wrap.close()


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the relay is open", "the relay\nis open"),
        ("the relay\nis  open", "the relay\nis  open"),
        ("a lighthousekeeper", "a\nlighthouse\nkeeper"),
        ("灯台守は海を見た", "灯台守は海\nを見た"),
        ("1234567890 1", "1234567890\n1"),
        ("   12345678", "12345678"),
        ("", ""),
        ("open \n\n", "open\n\n"),
    ],
)
def test_lines_are_broken_between_words(text: str, shown: str, size: int) -> None:
    assert wrapped(text, 10, size) == shown


def test_a_word_is_shown_when_it_has_ended() -> None:
    wrap = WordWrap(80)
    assert [wrap.feed(piece) for piece in ("The re", "lay", " is")] == ["The", "", " relay"]
    assert wrap.close() == " is"


@given(st.text(alphabet="ab 灯\n", max_size=60), st.integers(2, 12))
def test_no_line_is_too_wide_and_no_word_lost(text: str, width: int) -> None:
    shown = wrapped(text, width)
    assert all(cell_len(line) <= width for line in shown.split("\n") if line.strip())
    assert "".join(shown.split()) == "".join(text.split())
