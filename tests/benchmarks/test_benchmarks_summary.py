"""Medians, spread and ratios of given times."""

from __future__ import annotations

from typing import Any

import pytest

from sharedcli.benchmarks.summary import context_entries, figures, ratios, rooflines
from sharedcli.measuring.ceiling import Ceiling

CEILING = Ceiling(1000.0, 100.0)


def run(method: str, turn: int, context: float, prompt: float = 1.0, answer: float = 2.0) -> Any:
    times = {"context": context, "prompt": prompt, "answer": answer, "cpu": 9.0}
    return {"method": method, "round": turn, **times, "slots": 5}


def test_figures_are_medians_with_their_range() -> None:
    found = figures([run("a", turn, context) for turn, context in enumerate((3, 1, 8))], 5)
    assert found["seconds"] == 6
    assert found["ttft_seconds"] == 4
    assert found["tokens_per_second"] == 2  # four tokens after the first, in two seconds
    assert found["spread"]["seconds"] == [4, 11]
    assert found["runs"] == 3


def test_one_token_has_no_decoding_speed() -> None:
    assert figures([run("a", 0, 1, answer=0.0)], 1)["tokens_per_second"] is None


def test_nothing_was_run() -> None:
    found = figures([], 5)
    assert (found["seconds"], found["spread"], found["runs"]) == (None, {}, 0)


def test_ratios_compare_within_a_round() -> None:
    """A machine that is twice as slow in one round changes no ratio."""
    own = [run("a", 0, 1), run("a", 1, 2, 2, 4), run("a", 2, 1)]
    base = [run("b", 0, 5), run("b", 1, 10, 2, 4), run("b", 2, 9)]
    found = ratios(own, base, 5)
    assert found is not None
    assert found["seconds"] == 2.0
    assert found["spread"] == [2.0, 3.0]
    assert found["ttft_seconds"] == 3.0
    assert found["tokens_per_second"] == 1.0
    assert ratios(own, [], 5) is None


def test_stages_without_work_have_no_line() -> None:
    work: list[dict[str, float]] = [{"flops": 500.0, "bytes": 1.0}, {"flops": 0.0, "bytes": 0.0}]
    lines = rooflines([run("a", 0, 1)], [*work, {"flops": 0.0, "bytes": 100.0}], CEILING)
    assert [line["stage"] for line in lines] == ["context", "answer"]
    assert lines[0]["share"] == pytest.approx(0.5)
    assert lines[1]["share"] == pytest.approx(0.5)


def test_a_refused_method_says_why_and_has_no_figures() -> None:
    work = {"flops": 1.0, "bytes": 1.0}
    found = {
        "context": 64,
        "timings": [run("a", 0, 1)],
        "refused": {"b": "too long"},
        "caveats": {"a": "careful"},
        "work": {"a": [work, work, work]},
    }
    first, second, third = context_entries(
        found,
        ["a", "b", "c"],
        {"a": {"peak_bytes": 7}, "c": {"refused": "no memory"}},
        baseline="a",
        answer_tokens=5,
        ceiling=CEILING,
    )
    assert (first["skipped"], first["peak_bytes"], first["caveat"]) == (None, 7, "careful")
    assert first["ratio"]["seconds"] == 1.0
    assert (second["skipped"], second["seconds"], second["stages"]) == ("too long", None, [])
    assert (third["skipped"], third["ratio"]) == ("no memory", None)
