"""One run of ``eval``: records in a folder, then the result with its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedcli.evaluation import plots
from sharedcli.evaluation.markdown import write_result
from sharedcli.evaluation.records import RecordFile
from sharedcli.evaluation.report import Result, summarise
from sharedcli.evaluation.runner import OnCase, run_task
from sharedcli.evaluation.tasks.contract import Task
from sharedcli.measuring.run_info import run_info

if TYPE_CHECKING:
    from sharedcli.engine.loading import LoadedModel

FOLDER = "sharedcli-eval"


def default_folder(setup: dict[str, Any]) -> Path:
    """A folder in the current one that belongs to this setup alone, so that runs resume."""
    digest = hashlib.sha256(json.dumps(setup, sort_keys=True).encode()).hexdigest()[:8]
    return Path(FOLDER) / f"{setup['task']}-{digest}"


def run_experiment(
    task: Task,
    setup: dict[str, Any],
    model: LoadedModel | None,
    folder: Path | None,
    *,
    fresh: bool = False,
    on_case: OnCase = lambda _done, _total, _way: None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> tuple[Result, list[Path]]:
    """Run a task, or go on with it; write result.json, report.md and pictures.

    Args:
        task: what to measure.
        setup: what its records depend on; see ``run_info.setup``.
        model: for the run's description.
        folder: where to keep records; ``default_folder`` if None.
        fresh: forget what is there.
        on_case: told the progress.
        on_note: told that pictures are missing.

    Returns:
        The result, and the files that were written.

    Raises:
        UsageError: the folder belongs to another setup, or is in use.
    """
    folder = folder or default_folder(setup)
    with RecordFile(folder, setup, fresh=fresh) as records:
        found = run_task(task, records, on_case)
        result = summarise(
            task.name,
            found,
            task.ways,
            caveats={way: task.caveat(way) for way in task.ways},
            run=run_info(setup, model),
            notes=task.notes,
            seed=int(setup.get("seed", 0)),
        )
        files = write_result(result, folder)
        if plots.can_draw():
            files += plots.draw(result, folder)
        elif task.name in ("perplexity", "needle"):
            on_note(plots.MISSING)
    return result, files
