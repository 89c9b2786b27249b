"""The four benchmarks from end to end on a tiny model, jobs in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.benchmarks import plots
from sharedcli.benchmarks.children import Jobs
from sharedcli.benchmarks.indexing import indexing
from sharedcli.benchmarks.jobs import answer as answers
from sharedcli.benchmarks.latency import latency
from sharedcli.benchmarks.memory import memory
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.report import markdown, write
from sharedcli.benchmarks.result import Result
from sharedcli.benchmarks.storing import storing
from sharedcli.benchmarks.tables import remarks, tables, tokens
from sharedcli.errors import OutOfMemoryError, UsageError

MakePlan = Callable[..., Plan]
RUN = {"model", "adapter", "geometry", "seed", "commit", "versions", "device", "threads", "date"}


def _checked(result: Result) -> Any:
    """The JSON object, which holds no value that JSON has not."""
    plain = json.loads(json.dumps(result.to_plain(), allow_nan=False))
    assert set(plain["run"]) >= RUN
    assert plain["run"]["task"] == result.task
    assert all(len(row) == len(table.heads) for table in tables(result) for row in table.rows)
    return plain


def test_latency(make_plan: MakePlan, recorder: Any, tmp_path: Path) -> None:
    methods = ["full", "streaming", "encoder-decoder", "sharedllm", "sharedllm-indexed"]
    result = latency(make_plan(), methods, [256, 4096], recorder.jobs, baseline="streaming")
    plain = _checked(result)
    entries = {(one["method"], one["context"]): one for one in plain["methods"]}
    assert list(entries) == [(name, length) for length in (256, 4096) for name in methods]
    for (name, length), one in entries.items():
        if (name, length) == ("full", 4096):
            assert "exceed the model's window of 4,096" in one["skipped"]
            assert one["seconds"] is one["peak_bytes"] is None
            continue
        assert one["skipped"] is None
        assert one["seconds"] > one["ttft_seconds"] > 0
        assert one["tokens_per_second"] > 0
        assert one["peak_bytes"] >= one["base_bytes"] > 0
        assert one["runs"] == 2
        low, high = one["spread"]["seconds"]
        assert low <= one["seconds"] <= high
        assert {line["stage"] for line in one["stages"]} == {"context", "prompt", "answer"}
        assert all(line["share"] > 0 for line in one["stages"])
    assert entries["streaming", 4096]["ratio"]["seconds"] == 1.0
    assert entries["sharedllm-indexed", 256]["index_seconds"] > 0
    slots = [entries[name, 4096]["slots"] for name in ("sharedllm", "sharedllm-indexed")]
    assert slots[0] == pytest.approx(slots[1], abs=8)  # a cut text may have a token more
    jobs = [job for job, _ in recorder.done]
    assert jobs == ["index", *["answer"] * 5, "index", *["answer"] * 5, "time"]
    assert recorder.done[-1][1]["contexts"]["4096"] == methods[1:]
    files = write(result, tmp_path / "out", lambda _note: None)
    assert {path.suffix for path in files} == {".json", ".md", ".png"}
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in files if path.suffix == ".png")
    assert json.loads(files[0].read_text()) == plain
    assert "| streaming | 4K |" in markdown(result)
    assert any("full at 4,096 tokens was skipped" in line for line in remarks(result))


def test_what_runs_out_of_memory_is_skipped_by_name(make_plan: MakePlan, recorder: Any) -> None:
    recorder.broken["answer", "sharedllm"] = OutOfMemoryError("the system stopped the process")
    recorder.broken["index", ""] = OutOfMemoryError("no room")
    methods = ["streaming", "sharedllm", "sharedllm-indexed"]
    result = latency(make_plan(), methods, [128], recorder.jobs, baseline=None)
    reasons = [one["skipped"] for one in _checked(result)["methods"]]
    assert reasons == [None, "the system stopped the process", "indexing: no room"]
    assert result.methods[0]["ratio"] is None


def test_an_estimate_beyond_the_free_memory_is_not_tried(
    make_plan: MakePlan, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "available_bytes", lambda _device: 1000)
    result = latency(make_plan(), ["streaming"], [128], recorder.jobs, baseline=None)
    assert "GB are needed beyond the base, and 0.0 GB are free" in result.methods[0]["skipped"]
    alone = latency(make_plan(), ["full"], [128], recorder.jobs, baseline=None, memory=False)
    assert "GB are needed" in alone.methods[0]["skipped"]
    assert answers.too_large(10**12, None) == ""


def test_timing_alone_needs_no_process_per_method(make_plan: MakePlan, recorder: Any) -> None:
    plan = make_plan(forward_only=True)
    result = latency(plan, ["full"], [128], recorder.jobs, baseline=None, memory=False)
    assert [job for job, _ in recorder.done] == ["time"]
    assert result.methods[0]["peak_bytes"] is None
    assert result.methods[0]["seconds"] > 0
    assert not result.notes
    assert result.run["decoder"] == "forward"


def test_memory(make_plan: MakePlan, recorder: Any) -> None:
    methods = ["index", "ask", "streaming", "full"]
    result = memory(make_plan(), methods, [256, 512], recorder.jobs)
    plain = _checked(result)
    assert [(one["method"], one["context"]) for one in plain["methods"]] == [
        (name, length) for length in (256, 512) for name in methods
    ]
    for one in plain["methods"]:
        assert one["peak_bytes"] > 0
        assert one["estimated_bytes"] > one["base_bytes"] > 0
        assert one["estimate_ratio"] == pytest.approx(one["estimated_bytes"] / one["peak_bytes"])
    assert set(plain["slopes_mb_per_100k_tokens"]) == set(methods)
    recorder.broken["index", ""] = OutOfMemoryError("no room")
    failed = memory(make_plan(), ["ask", "index", "full"], [256], recorder.jobs)
    assert [one["skipped"] for one in failed.methods] == ["indexing: no room", "no room", None]
    with pytest.raises(OutOfMemoryError, match="nothing could be measured: no room"):
        memory(make_plan(), ["index"], [256], recorder.jobs)


def test_index(make_plan: MakePlan, recorder: Any) -> None:
    result = indexing(make_plan(), [128, 512], recorder.jobs)
    plain = _checked(result)
    assert [one["context"] for one in plain["methods"]] == [128, 512]
    for one in plain["methods"]:
        assert abs(one["context_tokens"] - one["context"]) <= 2
        assert one["runs"] == 2
        assert one["tokens_per_second"] == pytest.approx(1e6 / one["microseconds_per_token"])
    order = [arguments["context"] for job, arguments in recorder.done if job == "index"]
    assert order == [128, 512, 128, 512]
    shares = plain["profile"]["shares"]
    assert set(shares) == {"matrix", "attention", "other operations", "other"}
    assert shares["matrix"] > 0
    assert shares["attention"] > 0
    assert plain["cost_ratio_longest_to_shortest"] > 0
    recorder.broken["index", ""] = OutOfMemoryError("no room")
    with pytest.raises(OutOfMemoryError, match="no length could be indexed: no room"):
        indexing(make_plan(), [128], recorder.jobs)


def test_a_length_that_does_not_fit_is_skipped(make_plan: MakePlan, recorder: Any) -> None:
    def perform(job: str, plan: Plan, tell: Any, **arguments: Any) -> Any:
        if arguments["context"] > 128:
            raise OutOfMemoryError("no room")
        return recorder.perform(job, plan, tell, **arguments)

    result = indexing(make_plan(), [128, 512], Jobs(lambda *_now: None, perform))
    assert [one["skipped"] for one in _checked(result)["methods"]] == [None, "no room"]
    assert result.more["cost_ratio_longest_to_shortest"] is None
    assert any("index at 512 tokens was skipped: no room" in line for line in remarks(result))


def test_storage(make_plan: MakePlan, recorder: Any, tmp_path: Path) -> None:
    result = storing(make_plan(), [], recorder.jobs, context=256, running=32, windows=2)
    plain = _checked(result)
    sizes = {(one["slot_format"], one["levels"]): one for one in plain["methods"]}
    assert len(sizes) == 8
    assert plain["windows"] == 2
    for levels in ("nested", "per_node"):
        wide, half = sizes["bfloat16", levels], sizes["int8", levels]
        assert wide["slot_bytes_per_token"] > half["slot_bytes_per_token"]
        assert (wide["loss_increase"], wide["kl"]) == (0.0, pytest.approx(0.0, abs=1e-6))
        assert wide["bytes_per_token"] > wide["slot_bytes_per_token"]
        assert "not trained" in wide["caveat"]
        assert sizes["recompute", levels]["bytes_per_token"] < half["bytes_per_token"]
    assert plain["loss_without_slots"] > 0
    drawn = plots.draw(result, tmp_path)
    assert [path.name for path in drawn] == ["storage.png"]
    with pytest.raises(UsageError, match="no document has"):
        storing(make_plan(), [], recorder.jobs, context=1 << 20, running=32, windows=2)


def test_lengths_are_written_as_people_do() -> None:
    assert [tokens(count) for count in (300, 8192, 1 << 20, 1 << 17)] == ["300", "8K", "1M", "128K"]


def test_without_matplotlib_it_says_what_to_install(
    make_plan: MakePlan, recorder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "can_draw", lambda: False)
    result = latency(make_plan(), ["full"], [64], recorder.jobs, baseline=None, memory=False)
    notes: list[str] = []
    files = write(result, tmp_path, notes.append)
    assert [path.suffix for path in files] == [".json", ".md"]
    assert notes == [plots.MISSING]
    assert "pip install 'sharedcli[train]'" in notes[0]
