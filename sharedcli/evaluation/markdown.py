"""A result as Markdown tables, and the files of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sharedcli.evaluation.gap import Gap
from sharedcli.evaluation.report import Result, Row
from sharedcli.evaluation.statistics import Interval


def interval_text(score: Interval, digits: int = 3) -> str:
    """Write "0.412 [0.30, 0.52]"."""
    if score.low is None or score.high is None:
        return f"{score.mean:.{digits}f}"
    return f"{score.mean:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"


def place_text(where: dict[str, Any]) -> str:
    """Write "context 4096"."""
    return ", ".join(f"{name} {value}" for name, value in where.items())


def markdown(result: Result) -> str:
    """The whole result as Markdown tables."""
    lines = [f"# {result.task}", ""]
    lines += _table(result.rows, with_place=False)
    if result.parts:
        lines += ["", *_table(result.parts, with_place=True)]
    lines += _gaps(result)
    if result.comparisons:
        lines += ["", "| compared | score | difference | wins / losses / ties | p |"]
        lines += ["|---|---|---|---|---|"]
        for one in result.comparisons:
            p = "" if one.p is None else f"{one.p:.3f}"
            lines.append(
                f"| {one.second} against {one.first} | {one.score} "
                f"| {interval_text(one.difference)} "
                f"| {one.wins} / {one.losses} / {one.ties} | {p} |"
            )
    remarks = [f"- {row.method}: {row.caveat}" for row in result.rows if row.caveat]
    remarks += [
        f"- {row.method}: {row.skipped} skipped ({row.reason})"
        for row in result.rows
        if row.skipped
    ]
    remarks += [f"- {note}" for note in result.notes]
    lines += ["", *remarks, ""] if remarks else [""]
    lines += ["| run | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in result.run.items()]
    return "\n".join(lines) + "\n"


def _gaps(result: Result) -> list[str]:
    if not result.gaps:
        return []
    heads = "| method | where | none | with slots | full | gain | gap closed |"
    lines = ["", "All with the adapted decoder:", "", heads, "|---|---|---|---|---|---|---|"]
    lines += [f"| {one.method} | {' | '.join(gap_cells(one))} |" for one in result.gaps]
    if result.harm is not None:
        harm = interval_text(result.harm)
        lines += ["", f"Without a context, adapted minus plain base: {harm} nats."]
    return lines


def gap_cells(gap: Gap) -> list[str]:
    """Where, losses, gain and share of the gap, "-" where full attention does not reach."""
    full = "-" if gap.full is None else f"{gap.full:.3f}"
    closed = "-" if gap.closed is None else interval_text(gap.closed)
    losses = [f"{gap.none:.3f}", f"{gap.loss:.3f}", full]
    return [place_text(gap.where), *losses, interval_text(gap.gain), closed]


def _table(rows: Sequence[Row], with_place: bool) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    means = list(dict.fromkeys(name for row in rows for name in row.means))
    heads = ["method", *(["where"] if with_place else []), *names, "items", "s/item"]
    heads += [name.replace("_", " ") for name in means]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [row.method + (" *" if row.caveat else "")]
        cells += [place_text(row.where)] if with_place else []
        cells += [interval_text(row.scores[n]) if n in row.scores else "" for n in names]
        cells += [str(row.items), f"{row.seconds / row.items:.2f}" if row.items else ""]
        cells += [_mean(n, row.means[n]) if n in row.means else "" for n in means]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _mean(name: str, value: float) -> str:
    return f"{value:.2f}" if name.endswith("seconds") else f"{value:.0f}"


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")


def write_result(result: Result, folder: Path) -> list[Path]:
    """Write result.json and report.md; return their paths."""
    made = []
    for name, text in (
        ("result.json", json.dumps(result.to_plain(), indent=1, ensure_ascii=False) + "\n"),
        ("report.md", markdown(result)),
    ):
        path = folder / name
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        made.append(path)
    return made
