"""What all tasks do around their measuring: load the model, keep records, show the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedcli.cli.session import Session

if TYPE_CHECKING:
    from sharedcli.evaluation.methods.contract import Workbench
    from sharedcli.evaluation.tasks.contract import Task


def make_workbench(
    session: Session, names: Sequence[str] = (), stream_window: int = 2048, *, encoder: bool = False
) -> Workbench:
    """Load the model, and the sentence encoder where a method ranks with it."""
    from sharedcli.evaluation.methods.contract import Workbench

    with session.activity as activity:
        activity.update("loading the model")
        model = session.engine.model()
        wanted = encoder or any(name.startswith("sharedllm") for name in names)
        vectors = session.engine.encoder() if wanted else None
    return Workbench(model, session.settings, vectors, stream_window)


def measure(
    session: Session,
    task: Task,
    bench: Workbench,
    *,
    files: Sequence[Path],
    output: Path | None,
    fresh: bool,
    **more: Any,
) -> None:
    """Run a task, and show or write what it found.

    Args:
        session: settings and terminal.
        task: what to measure.
        bench: the model.
        files: what the task has read.
        output: folder of the records; None for one of its own.
        fresh: forget the records in it.
        more: what else the records depend on.
    """
    from sharedcli.evaluation.experiment import default_folder, run_experiment
    from sharedcli.measuring.run_info import setup

    encoder = "none" if bench.encoder is None else "all-MiniLM-L6-v2"
    known = setup(task.name, session.settings, bench.model, files, passage_encoder=encoder, **more)
    folder = output or default_folder(known)

    def told(done: int, total: int, way: str) -> None:
        session.activity.update(f"measuring {way}", done, total, unit="items")

    with session.activity:
        result, made = run_experiment(
            task,
            known,
            bench.model,
            folder,
            fresh=fresh,
            on_case=told,
            on_note=session.terminal.aside,
        )
    if session.json:
        session.emit(result.to_plain())
        session.terminal.aside(f"records are in {folder}")
        return
    from sharedcli.cli.render_evaluation import show_result

    show_result(session.terminal, result, [str(path) for path in made])
