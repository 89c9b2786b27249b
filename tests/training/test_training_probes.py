"""Probes: their answers stand in their text once, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from sharedcli.training.data_rules import Fields
from sharedcli.training.probes import main, make_probes
from sharedcli.training.records import read_records


def _text(seed: int) -> str:
    rng = Random(seed)
    words = ["river", "stone", "evening", "letter", "garden", "quiet", "window", "winter", "road"]
    return " ".join(
        " ".join(rng.choice(words) for _ in range(16)).capitalize() + f" {i}." for i in range(600)
    )


def test_every_answer_stands_in_its_context_once() -> None:
    probes = list(make_probes([("a", _text(0)), ("b", _text(1))], 20))
    assert len(probes) == 20
    kinds = set()
    for probe in probes:
        for one in probe["qa"]:
            (answer,) = one["answers"]
            assert probe["context"].count(answer) == 1
            kinds.add(one["question"].split()[0])
    assert {"Which", "What"} <= kinds


def test_the_same_seed_makes_the_same_probes() -> None:
    texts = [("a", _text(0))]
    assert list(make_probes(texts, 5, 3)) == list(make_probes(texts, 5, 3))
    assert list(make_probes(texts, 5, 3)) != list(make_probes(texts, 5, 4))


def test_what_is_written_is_training_data(tmp_path: Path) -> None:
    given, out = tmp_path / "texts.jsonl", tmp_path / "probes.jsonl"
    rows = [{"source": "kept", "text": _text(0)}, {"source": "left-out", "text": _text(1)}]
    given.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    main([str(out), str(given), "--documents", "6", "--without", "left-out"])
    records = list(read_records(out, Fields()))
    assert len(records) == 6
    assert all(record.source.startswith("kept/") for record in records)
    assert all(q.start >= 0 for record in records for q in record.questions)
