"""Two runs side by side: the same items under two models, adapters or versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sharedcli.errors import UsageError
from sharedcli.evaluation.records import SETUP, Record, read_records
from sharedcli.evaluation.report import Comparison, compare_records


def compare_runs(
    first: Path, second: Path, methods: list[str] | None = None, seed: int = 0
) -> tuple[list[Comparison], dict[str, Any]]:
    """Compare each method that both runs have; or two methods across the runs.

    Args:
        first, second: folders of runs.
        methods: names to compare; two different ones if there are two: ``a`` of the first run
            against ``b`` of the second. None takes all that both have.
        seed: of the bootstrap.

    Returns:
        One comparison per method, and what differs between the setups.

    Raises:
        UsageError: they share no method, or no item.
        NoStoreError: a folder holds no run.
    """
    before, after = read_records(first), read_records(second)
    pairs = _pairs(before, after, methods)
    found = []
    for name, other in pairs:
        one = compare_records(
            f"{name} in {first.name}",
            [r for r in before if r.method == name],
            f"{other} in {second.name}",
            [r for r in after if r.method == other],
            seed,
        )
        if one is not None:
            found.append(one)
    if not found:
        raise UsageError("the two runs have no item in common; compare runs of the same questions")
    return found, _setups(first, second)


def _pairs(
    before: list[Record], after: list[Record], methods: list[str] | None
) -> list[tuple[str, str]]:
    here = dict.fromkeys(record.method for record in before)
    there = dict.fromkeys(record.method for record in after)
    if methods is not None and len(methods) == 2 and methods[0] in here and methods[1] in there:
        return [(methods[0], methods[1])]
    shared = [name for name in here if name in there and (methods is None or name in methods)]
    if not shared:
        raise UsageError(
            f"the two runs share no method (the first has {', '.join(here) or 'none'}, the second "
            f"{', '.join(there) or 'none'}); name two with --methods"
        )
    return [(name, name) for name in shared]


def _setups(first: Path, second: Path) -> dict[str, Any]:
    """Keys of the setups that differ, each with both values."""
    known = []
    for folder in (first, second):
        path = (folder.parent if folder.is_file() else folder) / SETUP
        try:
            known.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            known.append({})
    keys = sorted(set(known[0]) | set(known[1]))
    return {
        key: [known[0].get(key), known[1].get(key)]
        for key in keys
        if known[0].get(key) != known[1].get(key)
    }
