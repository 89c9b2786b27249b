"""A result as files: result.json, report.md and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sharedcli.benchmarks import plots
from sharedcli.benchmarks.result import Result
from sharedcli.benchmarks.tables import TextTable, remarks, tables

SHOWN = (
    "model",
    "adapter",
    "form",
    "injected_layers",
    "geometry",
    "slot_format",
    "dtype",
    "device_name",
    "threads",
    "runs",
    "answer_tokens",
    "stream_window",
    "stream_block",
    "decoder",
    "seed",
    "commit",
    "sharedcli",
    "versions",
    "date",
)


def write(result: Result, folder: Path, on_note: Callable[[str], None]) -> list[Path]:
    """Write all files of a result.

    Args:
        result: what a benchmark found.
        folder: made if it is not there; older files of the same names are replaced.
        on_note: told that pictures are missing, and why.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{result.task}.json"
    data.write_text(json.dumps(result.to_plain(), indent=2) + "\n", encoding="utf-8")
    page = folder / f"{result.task}.md"
    page.write_text(markdown(result), encoding="utf-8")
    if not plots.can_draw():
        on_note(plots.MISSING)
        return [data, page]
    return [data, page, *plots.draw(result, folder)]


def markdown(result: Result) -> str:
    """The tables, the remarks, and what the figures depend on."""
    parts = [f"# {result.task.capitalize()}"]
    parts += [_table(table) for table in tables(result)]
    parts.append("\n".join(f"- {remark}" for remark in remarks(result)))
    facts = [(name, result.run[name]) for name in SHOWN if name in result.run]
    parts.append("\n".join(f"- {name}: {_plain(value)}" for name, value in facts))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: TextTable) -> str:
    lines = ["| " + " | ".join(table.heads) + " |"]
    lines.append("| --- " + "| ---: " * (len(table.heads) - 1) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return str(value)
