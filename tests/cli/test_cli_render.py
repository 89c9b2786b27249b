"""Colour, animation and words: what reaches which stream."""

from __future__ import annotations

import io

import pytest

from sharedcli.cli.render import Terminal, wants_color
from sharedcli.cli.render_activity import Activity
from sharedcli.cli.wording import duration, page_range, place, plural, ratio, size
from sharedcli.ingest.document import Document, Page


@pytest.mark.parametrize(
    ("setting", "environ", "is_terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
    ],
)
def test_who_decides_about_colour(
    setting: str, environ: dict[str, str], is_terminal: bool, expected: bool
) -> None:
    assert wants_color(setting, environ, is_terminal) is expected


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "escapes"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_lines_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], escapes: bool
) -> None:
    stream = _Tty()
    monkeypatch.setattr("sys.stderr", stream)
    Terminal("auto", environ).error("the lamp [bold]is[/bold] out")
    assert ("\x1b" in stream.getvalue()) is escapes
    assert "[bold]is[/bold]" in stream.getvalue()


def test_colour_is_decided_per_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal_stream, pipe = _Tty(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal_stream)
    monkeypatch.setattr("sys.stdout", pipe)
    terminal = Terminal("auto", {"TERM": "xterm-256color"})
    terminal.warning("look")
    from rich.text import Text

    terminal.show(Text("data", style="red"))
    assert "\x1b[" in terminal_stream.getvalue()
    assert pipe.getvalue() == "data\n"


@pytest.mark.parametrize(
    ("environ", "options"),
    [({"TERM": "dumb"}, {}), ({"TERM": "xterm"}, {"quiet": True}), ({}, {"still": True})],
)
def test_no_animation_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], options: dict[str, bool]
) -> None:
    stream = _Tty()
    monkeypatch.setattr("sys.stderr", stream)
    with Activity(Terminal("auto", environ, **options)) as activity:
        activity.update("reading", 1, 2, unit="pages")
    assert stream.getvalue() == ""


def test_no_animation_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with Activity(Terminal("auto", {"TERM": "xterm", "FORCE_COLOR": "1"})) as activity:
        activity.update("reading")
        activity.update("reading", 1, 2)
    assert stream.getvalue() == ""


def test_the_moving_line_leaves_nothing_and_stdout_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, out = _Tty(), io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", out)
    import sys

    with Activity(Terminal("auto", {"TERM": "xterm", "COLUMNS": "80"})) as activity:
        activity.update("compressing \x1b]0;x\x07file", 512, 1024, unit="tokens", speed="9/s")
        sys.stdout.write("data\n")
        activity.update("loading")
    drawn = stream.getvalue()
    assert "512 / 1,024 tokens" in drawn
    assert "\x07" not in drawn
    assert drawn.index("\x1b[?25l") < drawn.index("\x1b[?25h")  # the cursor comes back
    assert out.getvalue() == "data\n"


def test_words() -> None:
    assert plural(1, "page") == "1 page"
    assert plural(1234, "page") == "1,234 pages"
    assert [size(n) for n in (0, 999, 1500, 99_960, 4_600_000, 28e9, 3e15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "100 kB",
        "4.6 MB",
        "28.0 GB",
        "3000 TB",
    ]
    assert [duration(s) for s in (0.04, 9.94, 9.96, 59.4, 185, 7625)] == [
        "0.0 s",
        "9.9 s",
        "10 s",
        "59 s",
        "3 min 05 s",
        "2 h 07 min",
    ]
    assert ratio(512, 32) == "16"
    assert ratio(7, 3) == "2.3"


def test_places() -> None:
    assert place(12, None, True) == "p. 12"
    assert place(12, "12", True) == "p. 12"
    assert place(12, "iv", True) == "p. 12 (printed iv)"
    assert place(2, "Risks", False) == "Risks"
    assert place(2, None, False) == "part 2"
    pages = (Page(1, None, 0, 10), Page(2, None, 10, 20))
    document = Document("a", "a", "text/plain", "0" * 64, "x" * 20, pages)
    assert page_range(document, 0, 10) == "p. 1"
    assert page_range(document, 9, 11) == "pp. 1–2"
    assert page_range(document, 20, 20) == "p. 2"
