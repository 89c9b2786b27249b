"""Where a benchmark keeps the stores and documents that it makes: a folder that goes with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sharedcli.benchmarks.plan import Plan


@contextmanager
def workspace() -> Iterator[Path]:
    """A temporary folder, removed at the end, also after Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="sharedcli-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def with_store(plan: Plan, folder: Path) -> Plan:
    """The plan with its store at ``folder``, and no limit on its size."""
    return replace(plan, settings=replace(plan.settings, store=folder, quota=None))
