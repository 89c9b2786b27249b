"""The loss curve of a run as a PNG, drawn from its metrics file."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from pathlib import Path
from typing import Any

from sharedcli.training.metrics import FILE, read_metrics

NAME = "curve.png"
MISSING = "no curve.png: matplotlib is not installed; pip install 'sharedcli[train]'"
_WINDOW = 50
_STYLES = {"none": ":", "full": "--", "base_none": ":", "base_full": "--"}


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_curve(folder: Path) -> Path | None:
    """Draw training and held-out losses of the run in ``folder``; None if there is nothing yet."""
    steps: list[tuple[int, float]] = []
    held: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for record in read_metrics(folder / FILE):
        if table := record.get("heldout"):
            for name, loss in table["losses"].items():
                if loss is not None:
                    held[f"{table['kind']}: {name}"].append((record["step"], loss))
        elif record.get("next_token") is not None and not record.get("skipped"):
            steps.append((record["step"], record["next_token"]))
    if not steps:
        return None
    return _draw(folder / NAME, steps, held)


def _draw(
    path: Path, steps: list[tuple[int, float]], held: dict[str, list[tuple[int, float]]]
) -> Path:
    # without pyplot: no display, no global state, safe in any thread
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    places = [step for step, _ in steps]
    axes.plot(places, _smooth([loss for _, loss in steps]), color="0.6", label="training")
    for name, points in sorted(held.items()):
        way = name.rsplit(" ", 1)[-1]
        axes.plot(*zip(*points, strict=True), _STYLES.get(way, "-"), marker=".", label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=120)
    part.replace(path)
    return path


def _smooth(losses: list[float]) -> list[float]:
    """Mean over the last steps."""
    smooth = []
    for end in range(1, len(losses) + 1):
        window = losses[max(0, end - _WINDOW) : end]
        smooth.append(sum(window) / len(window))
    return smooth
