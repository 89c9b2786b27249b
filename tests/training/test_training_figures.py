"""Made-up reports: every question's answer stands where it says, and its reply gives that one."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from sharedcli.training.figures import KINDS, main, make_reports


def test_answers_stand_where_they_are_said_to_and_replies_give_them() -> None:
    reports = list(make_reports(20))
    asked = [(report["context"], ask) for report in reports for ask in report["qa"]]
    assert len(asked) > 300
    for context, ask in asked:
        (answer,) = ask["answers"]
        assert context[ask["start"] :].casefold().startswith(answer.casefold())
        assert answer.casefold() in ask["reply"].casefold()
        assert ask["reply"][0] == ask["reply"][0].upper() and ask["reply"].endswith(".")
        assert not set("{}") & set(ask["reply"] + ask["question"] + context)


def test_sentences_hold_several_of_a_kind_and_each_is_asked_for() -> None:
    reports = list(make_reports(40))
    found: dict[str, set[str]] = {}
    for report in reports:
        for ask in report["qa"]:
            if ask["question"] in ("Who is the CEO?", "Who leads communications?"):
                found.setdefault(report["source"], set()).add(ask["answers"][0])
    assert any(len(names) == 2 for names in found.values())


def test_a_seed_repeats_and_another_differs() -> None:
    assert list(make_reports(3)) == list(make_reports(3))
    assert list(make_reports(3)) != list(make_reports(3, seed=1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_anew(kind: str) -> None:
    rng = Random(0)
    assert len({KINDS[kind](rng) for _ in range(50)}) > 5


def test_the_command_writes_json_lines(tmp_path: Path) -> None:
    main([str(tmp_path / "out.jsonl"), "--documents", "4"])
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines] == [f"report-{i}" for i in range(4)]
