"""``bench storage``: bytes per token of each slot format and kind of levels, and what it loses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sharedcli.benchmarks.children import Jobs
from sharedcli.benchmarks.plan import Plan
from sharedcli.benchmarks.result import Result
from sharedcli.benchmarks.workspace import with_store, workspace


def storing(
    plan: Plan,
    files: Sequence[Path],
    jobs: Jobs,
    *,
    context: int,
    running: int,
    windows: int,
) -> Result:
    """Measure all of them in one process, on the same windows of text.

    Args:
        plan: how to measure.
        files: documents; the sample that ships with the package if there is none.
        jobs: does it.
        context: tokens of a window that are compressed.
        running: tokens behind it whose loss counts.
        windows: of each document at most.
    """
    with workspace() as folder:
        found = jobs.run(
            "storage",
            with_store(plan, folder / "store"),
            files=[str(file.absolute()) for file in files],
            context=context,
            running=running,
            windows=windows,
        )
    entries = [{**row, "context": context, "skipped": None} for row in found["methods"]]
    more = {name: found[name] for name in ("windows", "loss_without_slots")}
    return Result("storage", entries, found["run"], more)
