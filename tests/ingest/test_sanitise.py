from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sharedcli.ingest.sanitise import (
    MAX_SEQUENCE,
    MAX_STRING,
    StreamSanitiser,
    printable_path,
    sanitise,
    sanitise_line,
)

ESC, BEL, ST, CSI8, OSC8 = "\x1b", "\x07", "\x1b\\", "\x9b", "\x9d"

# Mostly what matters: introducers, parameters, terminators, breaks, bidi, surrogates, plain text.
NASTY = st.text(
    st.one_of(
        st.sampled_from(
            "\x1b\x9b\x9d\x90\x9c\x07\x18\x1a[]PX^_\\;?0123456789mHJ \n\r\t\f\v\x00\x7f\x85"
            "\u202e\u2066\u200b\u200d\u2028\ufeff\u00ad\ud83d\ude00\udc80ab\U000e0041"
        ),
        st.characters(),
    ),
    max_size=60,
)


def is_harmless(char: str) -> bool:
    if char in "\n\t\u200c\u200d":
        return True
    return unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"} and not (
        unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF"}
        or "\u2066" <= char <= "\u2069"
    )


@given(NASTY)
@example(f"{ESC}]0;title{ESC}[31mred")
@example(f"{ESC}P{ESC}{ESC}\\x")
def test_nothing_harmful_is_left(text):
    clean = sanitise(text)
    assert all(map(is_harmless, clean))
    clean.encode("utf-8")


@given(NASTY)
def test_idempotent(text):
    assert sanitise(sanitise(text)) == sanitise(text)


@given(NASTY, st.data())
def test_stream_equals_one_shot_for_random_cuts(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    stream = StreamSanitiser()
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(stream.feed, pieces)) + stream.close() == sanitise(text)


@given(NASTY)
def test_stream_equals_one_shot_character_by_character(text):
    stream = StreamSanitiser()
    assert "".join(map(stream.feed, text)) + stream.close() == sanitise(text)


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("\n\t")))
def test_ordinary_text_is_untouched(text):
    expected = "".join(char for char in text if not 0xE0000 <= ord(char) <= 0xE0FFF)
    assert sanitise(text) == expected


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        (f"{ESC}[1;31mred{ESC}[0m", "red"),
        (f"{CSI8}31mred", "red"),
        (f"a{ESC}]8;;http://evil{ST}link{ESC}]8;;{BEL}b", "alinkb"),
        (f"a{ESC}]52;c;c2VjcmV0{BEL}b", "ab"),
        (f"a{ESC}Pq#0;2{ST}b", "ab"),
        (f"a{ESC}cb", "ab"),
        (f"a{ESC}(Bb", "ab"),
        (f"a{ESC}]0;never ended\nnext line", "a\nnext line"),
        (f"cut{ESC}", "cut"),
        (f"cut{ESC}[31", "cut"),
        (f"a{OSC8}quote", "aquote"),
        ("a\r\nb\rc\fd\ve\u2028f\u2029g", "a\nb\nc\nd\ne\nf\ng"),
        ("a\x00b\x08c\x7fd\x85e", "abcde"),
        ("\u202eevil\u202c\u2066x\u2069\u200f", "evilx"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen", "zerowidth softhyphen"),
        ("ask\U000e0041\U000e0042\U000e0100", "ask"),
        ("lone\ud800\udc00 \udcff", "lone "),
        ("می\u200cخواهم 👨\u200d👩\u200d👧 ❤\ufe0f", "می\u200cخواهم 👨\u200d👩\u200d👧 ❤\ufe0f"),
    ],
)
def test_examples(dirty, clean):
    assert sanitise(dirty) == clean


def test_unended_string_swallows_a_bounded_part_of_one_line():
    clean = sanitise(f"{ESC}]" + "x" * (MAX_STRING + 10) + "rest")
    assert clean == "x" * 10 + "rest"


def test_numbers_after_a_stray_introducer_survive():
    numbers = "1,234 5,678 " * 100
    assert len(sanitise(f"{ESC}[" + numbers)) >= len(numbers) - MAX_SEQUENCE - 1


@given(NASTY)
def test_line_is_one_bounded_line(text):
    line = sanitise_line(text, limit=20)
    assert "\n" not in line and "\t" not in line
    assert len(line) <= 20
    assert line == line.strip()


def test_long_line_ends_with_an_ellipsis():
    assert sanitise_line("word " * 100, limit=12) == "word word w…"


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
@given(st.binary(min_size=1, max_size=30), st.binary(min_size=1, max_size=30))
def test_paths_become_printable(one, other):
    shown = printable_path(os.fsdecode(one))
    assert all(map(is_harmless, shown)) and "\n" not in shown and "\t" not in shown
    shown.encode("utf-8")
    if one != other and b"\\" not in one + other:
        assert shown != printable_path(os.fsdecode(other))


def test_ordinary_path_is_unchanged():
    assert printable_path("/tmp/Übersicht – 報告 (1).pdf") == "/tmp/Übersicht – 報告 (1).pdf"


@pytest.mark.parametrize("unit", [f"{ESC}[", f"{ESC}]", ESC, "\x9b1", "\r", f"{ESC}]a{BEL}b"])
def test_many_sequences_take_linear_time(unit):
    """Searching ahead for each of several introducers would make this quadratic."""
    assert all(map(is_harmless, sanitise(unit * 200_000)))
