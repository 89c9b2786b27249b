"""Results as pictures: loss against length, a heat map of needles, score against slots."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from sharedcli.evaluation.report import Result, Row

_SIZE = re.compile(r"r?\d[\d.]*")
MISSING = "no pictures: matplotlib is not installed; pip install 'sharedcli[train]'"


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(result: Result, folder: Path) -> list[Path]:
    """Draw what the result gives reason to; return the paths."""
    made = []
    if result.task == "perplexity" and any(row.scores for row in result.rows):
        made.append(_lengths(result, folder / "loss.png"))
    if result.task == "needle" and any(row.scores for row in result.rows):
        made.append(_needles(result, folder / "needle.png"))
    families = [family(row.method) for row in result.rows if row.scores]
    if any(families.count(one) > 1 for one in families):
        made.append(_slots(result, folder / "slots.png"))
    return made


def family(name: str) -> str:
    """A method's name without its ratio or budget: "sharedllm@r8@other" is "sharedllm@other"."""
    bare, *parts = name.split("@")
    return "@".join((bare, *(part for part in parts if not _SIZE.fullmatch(part))))


def _figure(width: float, height: float) -> Any:
    # without pyplot: no display, no global state, safe in any thread
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> Path:
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=120)
    part.replace(path)
    return path


def _error(row: Row, name: str) -> tuple[float, float]:
    score = row.scores[name]
    if score.low is None or score.high is None:
        return 0.0, 0.0
    return max(0.0, score.mean - score.low), max(0.0, score.high - score.mean)


def _lengths(result: Result, path: Path) -> Path:
    figure = _figure(8, 5)
    axes = figure.subplots()
    lengths: set[int] = set()
    for row in result.rows:
        parts = [one for one in result.parts if one.method == row.method and "loss" in one.scores]
        if not parts and "loss" in row.scores:  # one length: its parts are the whole
            parts = [row]
        places = [
            int(one.where.get("context") or one.means.get("context_tokens", 0)) for one in parts
        ]
        lengths.update(places)
        errors = [list(pair) for pair in zip(*(_error(one, "loss") for one in parts), strict=True)]
        means = [one.scores["loss"].mean for one in parts]
        if parts:
            label = row.method + (" *" if row.caveat else "")
            axes.errorbar(places, means, yerr=errors, marker="o", capsize=3, label=label)
    if min(lengths, default=0) > 0:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(lengths), [str(length) for length in sorted(lengths)])
    axes.set_xlabel("context (tokens)")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return _save(figure, path)


def _needles(result: Result, path: Path) -> Path:
    rows = result.parts or result.rows
    lengths = sorted({row.where.get("length", 0) for row in rows})
    depths = sorted({row.where.get("depth", 0) for row in rows})
    ways = [row.method for row in result.rows]
    figure = _figure(2.2 + 2.4 * len(ways), 1.8 + 0.4 * len(depths))
    panels = figure.subplots(1, len(ways), squeeze=False)[0]
    for axes, way in zip(panels, ways, strict=True):
        grid = [[float("nan")] * len(lengths) for _ in depths]
        for row in rows:
            if row.method == way and "found" in row.scores:
                place = depths.index(row.where.get("depth", 0))
                grid[place][lengths.index(row.where.get("length", 0))] = row.scores["found"].mean
        picture = axes.imshow(grid, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
        axes.set_title(way, fontsize="small")
        axes.set_xticks(range(len(lengths)), [str(one) for one in lengths], fontsize="x-small")
        axes.set_yticks(range(len(depths)), [f"{one:g} %" for one in depths], fontsize="x-small")
        axes.set_xlabel("tokens", fontsize="small")
    panels[0].set_ylabel("depth", fontsize="small")
    figure.colorbar(picture, ax=list(panels), label="found")
    return _save(figure, path)


def _slots(result: Result, path: Path) -> Path:
    figure = _figure(7, 4.5)
    axes = figure.subplots()
    lines: dict[str, list[tuple[float, Row, str]]] = {}
    for row in result.rows:
        if row.scores:
            name = next(iter(row.scores))
            place = row.means.get("slots", 0.0)
            lines.setdefault(family(row.method), []).append((place, row, name))
    for method, points in lines.items():
        points.sort(key=lambda point: point[0])
        errors = [list(pair) for pair in zip(*(_error(r, n) for _, r, n in points), strict=True)]
        axes.errorbar(
            [place for place, _, _ in points],
            [row.scores[name].mean for _, row, name in points],
            yerr=errors,
            marker="o",
            capsize=3,
            label=method,
        )
        axes.set_ylabel(points[0][2].replace("_", " "))
    axes.set_xlabel("injected slots (mean)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return _save(figure, path)
