"""``plots``: pictures of what a result holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharedcli.evaluation import plots
from sharedcli.evaluation.records import Record
from sharedcli.evaluation.report import Result, summarise


def _result(task: str, score: str, names: list[str], key: str = "context") -> Result:
    records = [
        Record(
            name,
            f"{where}/{n}",
            "",
            {key: where, "depth": 50.0} if task == "needle" else {key: where},
            {score: n + 1.0 if score == "loss" else float(n)},
            1.0,
            detail={"slots": 64 * (1 + at)},
        )
        for at, name in enumerate(names)
        for where in (1024, 4096)
        for n in range(2)
    ]
    return summarise(task, records, names)


def test_a_family_differs_in_size_only() -> None:
    assert plots.family("sharedllm@r8@other") == "sharedllm@other"
    assert plots.family("sharedllm@256") == plots.family("sharedllm@r2.5") == "sharedllm"
    assert plots.family("sharedllm@m10") == "sharedllm@m10"


@pytest.mark.parametrize(
    ("task", "score", "names", "pictures"),
    [
        ("perplexity", "loss", ["none", "full"], {"loss.png"}),
        ("perplexity", "loss", ["none", "sharedllm@r2", "sharedllm@r8"], {"loss.png", "slots.png"}),
        ("needle", "found", ["none", "sharedllm"], {"needle.png"}),
        ("qa", "f1", ["none", "passages"], set()),
        ("qa", "f1", ["sharedllm@64", "sharedllm@256"], {"slots.png"}),
    ],
)
def test_pictures_that_there_is_reason_for(
    tmp_path: Path, task: str, score: str, names: list[str], pictures: set[str]
) -> None:
    pytest.importorskip("matplotlib")
    key = "length" if task == "needle" else "context"
    made = plots.draw(_result(task, score, names, key), tmp_path)
    assert {path.name for path in made} == pictures
    for path in made:
        assert path.read_bytes().startswith(b"\x89PNG")
