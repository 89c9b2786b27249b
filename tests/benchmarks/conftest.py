"""A workbench on a tiny random base, and jobs that are done in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.benchmarks.children import Jobs
from sharedcli.benchmarks.jobs.registry import perform
from sharedcli.benchmarks.methods.contract import Bench
from sharedcli.benchmarks.opening import open_bench
from sharedcli.benchmarks.plan import Plan
from sharedcli.engine.engine import Engine
from sharedcli.settings import Settings


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test needs the sentence encoder, whose files may not be here."""
    monkeypatch.setattr(Engine, "encoder", lambda _engine: None)


@pytest.fixture
def make_plan(tiny_folder: Callable[[str], Path], cache: Path, tmp_path: Path) -> Any:
    """A function from what is different to a plan on the tiny model."""

    def make(model: str | None = None, **given: Any) -> Plan:
        settings = Settings(
            store=tmp_path / "store",
            cache=cache,
            model=model or str(tiny_folder("llama")),
            device="cpu",
            dtype="float32",
            offline=True,
            chunk_tokens=128,
            depth=2,
            slots_per_node=8,
        )
        sizes = {"answer_tokens": 3, "runs": 2, "stream_window": 128, "stream_block": 32}
        return Plan(settings, **{**sizes, **given})

    return make


@pytest.fixture
def bench(make_plan: Callable[..., Plan]) -> Bench:
    """A workbench on the tiny model."""
    return open_bench(make_plan())


class Recorder:
    """Does jobs in this process, and remembers which; ``broken`` ones fail as told."""

    def __init__(self) -> None:
        self.done: list[tuple[str, dict[str, Any]]] = []
        self.said: list[str] = []
        self.broken: dict[tuple[str, str], Exception] = {}

    def perform(self, job: str, plan: Plan, tell: Any, **arguments: Any) -> dict[str, Any]:
        """As ``jobs.registry.perform``."""
        self.done.append((job, arguments))
        if error := self.broken.get((job, str(arguments.get("method", "")))):
            raise error
        return perform(job, plan, tell, **arguments)

    @property
    def jobs(self) -> Jobs:
        """For a benchmark."""
        return Jobs(lambda _done, _total, what: self.said.append(what), self.perform)


@pytest.fixture
def recorder() -> Recorder:
    """Does jobs in this process."""
    return Recorder()
