"""SIGKILL while ``index`` follows a folder: nothing torn, nothing lost, the next run goes on.

python tests/reliability/kill_trial.py --trials 3000

Every run has files that are new, changed, renamed, gone and empty before it. It is killed at each
of its durable calls in turn (a write is half done then), and at random instants. The model is the
tiny one of the test-suite; it is loaded once, and each run is a fork.
"""

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trial_setup as setup
from fuzz_run import Run

import store_faults as faults  # isort: skip

from sharedcli.engine.engine import Engine
from sharedcli.settings import Settings
from sharedcli.store.durable import Disk
from sharedcli.store.store import Store

Seen = list[tuple[str, str, str]]
"""(kind, source, id) of the events whose commit the killed run had seen return."""


class Folder:
    """A folder and a store that is behind it, made anew for every run."""

    def __init__(self, place: Path) -> None:
        self.path, self.store = place / "notes", place / "store"
        self._origin = place / "origin"
        self.settings = Settings(
            store=self.store,
            cache=place / "cache",
            model=str(setup.tiny_model(place / "model")),
            device="cpu",
            dtype="float32",
            offline=True,
            **setup.SIZES,  # type: ignore[arg-type]
        )
        self.engine = Engine(self.settings)
        self.path.mkdir()
        for name in ("kept", "changed", "old name", "gone"):
            self._write(name)
        self.run()
        self._write("changed", "again")
        (self.path / "old name.txt").rename(self.path / "new name.txt")
        (self.path / "gone.txt").unlink()
        (self.path / "empty.txt").touch()
        for name in ("first", "second"):
            self._write(name)
        shutil.copytree(self.store, self._origin)
        self.before = self.state()
        self.run()
        self.after = self.state()

    def _write(self, name: str, word: str = "oil") -> None:
        text = f"The lamp of {name} burned {word} for the whole of the night.\n" * 12
        (self.path / f"{name}.txt").write_text(text)

    def reset(self) -> None:
        """Put the store back to where it was."""
        shutil.rmtree(self.store)
        shutil.copytree(self._origin, self.store)

    def run(self, tell: Callable[[str, str, str], None] | None = None) -> list[Any]:
        """Index the folder; return the events."""
        events = []
        for event in self.engine.index([str(self.path)], prune=True):
            events.append(event)
            if tell and event.record is not None:
                tell(event.kind, event.source, event.record.id)
        self.engine.close()
        return events

    def state(self) -> dict[str, str]:
        """What is in the store: digest of the content by path."""
        with Store.open(self.store) as store:
            return {one.source: one.document_sha256 for one in store.documents()}

    def killed(self, disk: Disk, delay: float | None) -> tuple[bool, Seen]:
        """Run in a child that dies at ``disk``'s will or after ``delay`` seconds."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reading)
                with faults.disk_is(disk):
                    self.run(lambda *event: os.write(writing, ("\t".join(event) + "\n").encode()))
            finally:
                os._exit(0)
        os.close(writing)
        if delay is not None:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with os.fdopen(reading) as lines:
            seen = [tuple(line.rstrip("\n").split("\t")) for line in lines if line.endswith("\n")]
        return status == -signal.SIGKILL, seen  # type: ignore[return-value]


def judge(folder: Folder, seen: Seen) -> str:
    """Look at the store after a kill, and let the next run go on."""
    with Store.open(folder.store) as store:
        if not store.check().clean:
            return "torn"
    found = folder.state()
    allowed = {**folder.before, **folder.after}
    for source, sha256 in found.items():
        if sha256 not in (folder.before.get(source), folder.after.get(source)):
            return "torn"
    for kind, source, _ in seen:
        if kind == "removed" and source in found:
            return "lost"
        if kind in ("indexed", "renamed", "unchanged") and found.get(source) != allowed[source]:
            return "lost"
    if any(str(folder.path / name) not in found for name in ("kept.txt", "changed.txt")):
        return "lost"
    done = {source for kind, source, _ in seen if kind in ("indexed", "renamed")}
    events = folder.run()
    again = {event.source for event in events if event.kind == "indexed"}
    with Store.open(folder.store) as store:
        report = store.check()
        unclean = not report.clean or report.unused_files or not store.failures()
    if again & done or folder.state() != folder.after or unclean:
        return "not resumed"
    return "whole"


def trial(place: Path, trials: int, run: Run, seed: int = 0) -> int:
    """Kill so often, at every durable call and at random instants by turns.

    Returns how many durable calls a run makes.
    """
    rng = random.Random(seed)
    folder = Folder(place)
    folder.reset()
    counting = faults.CountingDisk()
    with faults.disk_is(counting):
        folder.run()
    spans = []
    for _ in range(3):
        folder.reset()
        began = time.monotonic()
        folder.killed(Disk(), None)
        spans.append(time.monotonic() - began)
    longest = sorted(spans)[1]
    points: list[int] = []
    while not run.over() and run.counts["kills"] < trials:
        folder.reset()
        at_call = run.counts["kills"] % 2 == 0
        if at_call:
            points = points or list(range(1, len(counting.calls) + 1))
            disk = faults.KillingDisk(points.pop(rng.randrange(len(points))))
            died, seen = folder.killed(disk, None)
        else:
            died, seen = folder.killed(Disk(), rng.uniform(0, longest))
        if not died:
            run.count("ended before its kill")
            continue
        run.count("kills")
        run.count("at a durable call" if at_call else "at random instants")
        run.count(judge(folder, seen))
        run.count(f"after {sum(kind != 'unchanged' for kind, *_ in seen)} commits")
    return len(counting.calls)


def main() -> None:
    """Run the trial at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = Run("kills", float("inf"), Path(place), aloud=True)
        run.stop_on_signals()
        calls = trial(Path(place), options.trials, run, options.seed)
        counts = {name: run.counts[name] for name in ("torn", "lost", "not resumed")}
        setup.report(
            "kills",
            **{
                "durable_calls_of_a_run": calls,
                **counts,
                **run.counts,
                "processor_seconds": round(run.spent),
            },
        )


if __name__ == "__main__":
    main()
