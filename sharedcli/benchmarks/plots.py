"""Results as pictures, one PNG or two per benchmark."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sharedcli.benchmarks.result import Result
from sharedcli.benchmarks.tables import tokens

MISSING = "no pictures: matplotlib is not installed; pip install 'sharedcli[train]'"

# file, figure, axis, factor
_PICTURES: dict[str, tuple[tuple[str, str, str, float], ...]] = {
    "latency": (
        ("latency.png", "seconds", "seconds for a whole question", 1),
        ("first-token.png", "ttft_seconds", "seconds to the first token", 1),
        ("decode.png", "tokens_per_second", "decoded tokens per second", 1),
        ("latency-memory.png", "peak_bytes", "peak memory (GB)", 1e-9),
    ),
    "memory": (("memory.png", "peak_bytes", "peak memory (GB)", 1e-9),),
    "index": (
        ("index.png", "tokens_per_second", "tokens per second", 1),
        ("index-memory.png", "peak_bytes", "peak memory (GB)", 1e-9),
    ),
}


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(result: Result, folder: Path) -> list[Path]:
    """Draw what the result gives reason to; return the paths."""
    if result.task == "storage":
        return [_trade_off(result, folder / "storage.png")]
    made = []
    for file, name, label, factor in _PICTURES[result.task]:
        lines = _lines(result, name, factor)
        if lines:
            made.append(_draw_lines(lines, label, folder / file))
    return made


def _lines(result: Result, name: str, factor: float) -> dict[str, list[list[float]]]:
    """Points (tokens, value, below, above) by method."""
    lines: dict[str, list[list[float]]] = defaultdict(list)
    for entry in result.methods:
        if (value := entry.get(name)) is not None:
            low, high = (entry.get("spread") or {}).get(name, (value, value))
            point = [entry["context"], value, value - low, high - value]
            lines[entry["method"]].append([point[0], *(part * factor for part in point[1:])])
    return lines


def _draw_lines(lines: dict[str, list[list[float]]], label: str, path: Path) -> Path:
    figure, axes = _figure()
    lengths = sorted({int(point[0]) for points in lines.values() for point in points})
    for method, points in lines.items():
        places, values, below, above = zip(*sorted(points), strict=True)
        axes.errorbar(places, values, yerr=[below, above], marker="o", capsize=3, label=method)
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [tokens(length) for length in lengths])
    shown = [point[1] for points in lines.values() for point in points]
    if max(shown) > 10 * max(min(shown), 1e-12):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("context (tokens)")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return _save(figure, path)


def _trade_off(result: Result, path: Path) -> Path:
    figure, axes = _figure()
    by_levels: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for entry in result.methods:
        point = (entry["slot_bytes_per_token"], entry["loss"], entry["slot_format"])
        by_levels[entry["levels"].replace("_", " ")].append(point)
    for levels, points in by_levels.items():
        _scatter(axes, levels, points)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("bytes of slots per token of context")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return _save(figure, path)


def _scatter(axes: Any, label: str, points: Sequence[tuple[float, float, str]]) -> None:
    axes.plot(*zip(*((x, y) for x, y, _ in points), strict=True), marker="o", label=label)
    for place, value, name in points:
        axes.annotate(name, (place, value), (4, 4), textcoords="offset points", fontsize="small")


def _figure() -> tuple[Any, Any]:
    # without pyplot: no display, no global state, safe in any thread
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> Path:
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=120)
    part.replace(path)
    return path
