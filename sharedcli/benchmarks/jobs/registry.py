"""All jobs by name, and how one is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sharedcli.benchmarks.jobs.answer import answer
from sharedcli.benchmarks.jobs.ask import ask
from sharedcli.benchmarks.jobs.index import index
from sharedcli.benchmarks.jobs.profile import index_profile
from sharedcli.benchmarks.jobs.storage import storage
from sharedcli.benchmarks.jobs.turns import time_methods
from sharedcli.benchmarks.plan import Plan, Tell

JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "answer": answer,
    "ask": ask,
    "index": index,
    "profile": index_profile,
    "storage": storage,
    "time": time_methods,
}


def perform(job: str, plan: Plan, tell: Tell, **arguments: Any) -> dict[str, Any]:
    """Do one job in this process. Its errors are those of what it measures."""
    return JOBS[job](plan, tell, **arguments)
