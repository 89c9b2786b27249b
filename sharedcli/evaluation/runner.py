"""Run a task: every case in every way, each recorded at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from sharedcli.evaluation.methods.contract import UnfitError
from sharedcli.evaluation.records import Record, RecordFile
from sharedcli.evaluation.tasks.contract import Task

OnCase = Callable[[int, int, str], None]
"""Told how many of how many are done, and which way is next."""


def run_task(
    task: Task, records: RecordFile, on_case: OnCase = lambda _done, _total, _way: None
) -> list[Record]:
    """Measure what has no record yet; return the records of all cases and ways.

    Cases come one after the other, each in all ways: an interrupted run compares like with like.
    """
    cases, ways = list(task.cases()), list(dict.fromkeys((*task.ways, *task.references)))
    total = len(cases) * len(ways)
    found: list[Record] = []
    for case in cases:
        if any((way, case.id) not in records.done for way in ways):
            task.prepare(case)
        for way in ways:
            known = records.done.get((way, case.id))
            if known is None:
                on_case(len(found), total, way)
                started = time.perf_counter()
                try:
                    outcome = task.measure(case, way)
                except UnfitError as error:
                    known = Record(way, case.id, case.group, case.where, skipped=str(error))
                else:
                    seconds = round(time.perf_counter() - started + outcome.saved, 4)
                    known = Record(
                        way,
                        case.id,
                        case.group,
                        case.where,
                        outcome.scores,
                        seconds,
                        detail=outcome.detail,
                    )
                records.add(known)
            found.append(known)
    on_case(len(found), total, "")
    return found
