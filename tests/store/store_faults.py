"""Disks that fail, writers that are killed, bits that flip: what the durability tests inject.

The test suite runs a few hundred trials; ``python tests/store/store_faults.py --trials 3000`` runs
as many as are asked for, and prints one line per kind of fault.
"""

import argparse
import errno
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import store_samples as samples

from sharedcli.errors import SharedCLIError
from sharedcli.store import durable, segments
from sharedcli.store.durable import Disk
from sharedcli.store.store import Store

REFUSED = object()


class CountingDisk(Disk):
    """Counts the calls and lets a subclass step in at one of them."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.calls: list[str] = []

    def reached(self, name: str, call: Callable[[], object]) -> object:
        self.calls.append(name)
        return self.strike(name, call) if len(self.calls) == self.at else call()

    def strike(self, name: str, call: Callable[[], object]) -> object:
        return call()

    def create(self, path: Path) -> int:
        return self.reached("create", lambda: super(CountingDisk, self).create(path))

    def write(self, descriptor: int, data: memoryview) -> int:
        self.descriptor, self.data = descriptor, data
        return self.reached("write", lambda: super(CountingDisk, self).write(descriptor, data))

    def fsync(self, descriptor: int) -> None:
        self.reached("fsync", lambda: super(CountingDisk, self).fsync(descriptor))

    def fsync_directory(self, path: Path) -> None:
        self.reached("fsync_directory", lambda: super(CountingDisk, self).fsync_directory(path))

    def make_directory(self, path: Path) -> None:
        self.reached("make_directory", lambda: super(CountingDisk, self).make_directory(path))

    def replace(self, source: Path, target: Path) -> None:
        self.reached("replace", lambda: super(CountingDisk, self).replace(source, target))

    def unlink(self, path: Path) -> None:
        self.reached("unlink", lambda: super(CountingDisk, self).unlink(path))

    def commit(self, connection: sqlite3.Connection) -> None:
        self.reached("commit", lambda: super(CountingDisk, self).commit(connection))


class FailingDisk(CountingDisk):
    """Fails at call ``at``: without doing it, after doing it, or after half a write."""

    def __init__(self, at: int, mode: str) -> None:
        super().__init__(at)
        self.mode = mode

    def strike(self, name: str, call: Callable[[], object]) -> object:
        if self.mode == "after":
            call()
        elif name == "write" and self.mode in ("short", "lying"):
            written = os.write(self.descriptor, self.data[: len(self.data) // 2])
            return written if self.mode == "short" else len(self.data)
        elif self.mode in ("short", "lying"):
            return call()
        code = errno.ENOSPC if self.mode == "full" else errno.EIO
        raise OSError(code, os.strerror(code))


class KillingDisk(CountingDisk):
    """Kills the process at call ``at``; a write is half done before."""

    def strike(self, name: str, call: Callable[[], object]) -> object:
        if name == "write":
            os.write(self.descriptor, self.data[: len(self.data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


FAILURES = ("full", "io", "after", "short", "lying")


@contextmanager
def disk_is(disk: Disk) -> Iterator[None]:
    """Put ``disk`` in the place of the real one, with segments of a chunk or two."""
    before = durable.disk, segments.SEGMENT_BYTES
    durable.disk, segments.SEGMENT_BYTES = disk, 10_000
    try:
        yield
    finally:
        durable.disk, segments.SEGMENT_BYTES = before


def replace_document(path: Path) -> None:
    """The change that is interrupted: a document takes the place of another one."""
    with Store.open(path) as store:
        samples.put(store, 9, chunks=3, source="/papers/a.pdf")


def begin_in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its number.

    No thread may be at work in SQLite meanwhile: the child would inherit its locks for ever.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def run_in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(begin_in_child(work), 0)[1])


def kill_at(path: Path, at: int, work: Callable[[Path], None]) -> int:
    """Run ``work`` in a child that is killed at its durable call number ``at``."""

    def run() -> None:
        with disk_is(KillingDisk(at)):
            work(path)

    return run_in_child(run)


def random_kill(path: Path, rng: random.Random, longest: float = 0.25) -> dict[str, str]:
    """Kill a child that keeps indexing; return sources and ids whose commit it had seen return."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with disk_is(Disk()), Store.open(path) as store:
                for seed in range(10_000):
                    record = samples.put(store, rng.randrange(1000), 2, f"/{seed % 5}.pdf")
                    os.write(writing, f"{record.source} {record.id}\n".encode())
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(rng.uniform(0.0, longest))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as lines:
        return dict(line.split() for line in lines)


def answers(store: Store) -> dict[tuple[object, ...], object]:
    """Each thing that a store can be asked, with its answer, or ``REFUSED``."""
    found: dict[tuple[object, ...], object] = {}

    def ask(name: tuple[object, ...], question: Callable[[], object]) -> object:
        try:
            found[name] = question()
        except SharedCLIError:
            found[name] = REFUSED
        return found[name]

    documents = ask(("documents",), store.documents)
    for record in documents if isinstance(documents, list) else []:
        id_ = record.id
        ask((id_, "identity"), lambda id_=id_: store.identity(id_))
        ask((id_, "document"), lambda id_=id_: store.load_document(id_))
        ask((id_, "passages"), lambda id_=id_: samples.stored_passages(store, id_))
        for index in range(record.chunks):
            ask((id_, index), lambda id_=id_, index=index: samples.chunk_dump(store, id_, index))
    ask(("failures",), store.failures)
    return found


def probe(path: Path, expected: dict[tuple[object, ...], object]) -> str:
    """Say what a damaged store does: "detected", "harmless", or what went wrong."""
    try:
        store = Store.open(path)
    except SharedCLIError:
        return "detected"
    with store:
        try:
            clean = store.check().clean
        except SharedCLIError:
            clean = False
        found = answers(store)
    wrong = [k for k, v in found.items() if v is not REFUSED and v != expected.get(k)]
    # The lists may be shorter only if that was noticed.
    if [k for k in wrong if k != ("failures",) or clean]:
        return f"WRONG ANSWER: {wrong[:3]}"
    if not clean:
        return "detected"
    return "harmless" if found == expected else f"REFUSED BUT CLEAN: {found.keys()}"


def damage_trials(path: Path, trials: Iterator[tuple[Path, bytes]]) -> Counter[str]:
    """Put each damaged file in place, probe, and restore. Counts ``file kind: outcome``."""
    whole = samples.files(path)
    with Store.open(path) as store:
        expected = answers(store)
    outcomes: Counter[str] = Counter()
    for name, data in trials:
        (path / name).write_bytes(data)
        kind = "catalogue" if name.suffix == ".sqlite3" else "blob"
        outcomes[f"{kind}: {probe(path, expected)}"] += 1
        for extra in path.glob("catalogue.sqlite3-*"):
            extra.unlink()
        (path / name).write_bytes(whole[name])
    return outcomes


def flips(path: Path, count: int, seed: int) -> Iterator[tuple[Path, bytes]]:
    """``count`` single flipped bits: in blobs and the catalogue by turns.

    Most of a small catalogue is empty pages, so every second flip there is of a byte in use.
    """
    rng = random.Random(seed)
    whole = samples.files(path)
    catalogues = [name for name in whole if name.suffix == ".sqlite3"]
    blobs = [name for name in whole if name.suffix == ".safetensors"]
    for trial in range(count):
        name = rng.choice(blobs if trial % 2 else catalogues)
        data = bytearray(whole[name])
        place = rng.randrange(len(data))
        while trial % 4 == 0 and not data[place]:
            place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        yield name, bytes(data)


def truncations(path: Path, step: int, start: int = 0) -> Iterator[tuple[Path, bytes]]:
    """Every file cut at every ``step``-th byte."""
    for name, data in samples.files(path).items():
        for length in range(start, len(data), step):
            yield name, data[:length]


def sample_store(path: Path) -> None:
    """A store with two documents and a failure, at rest."""
    with Store.open(path, create=True) as store:
        samples.put(store, 1, chunks=2, source="/papers/a.pdf")
        samples.put(store, 2, chunks=1)
        store.record_failure("/papers/c.pdf", "needs a password")


def kill_trials(path: Path, count: int, seed: int) -> Counter[str]:
    """Kill writers at random instants, ``count`` times, in one and the same store."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        committed = random_kill(path, rng)
        with Store.open(path) as store:
            present = {record.source: record.id for record in store.documents()}
            torn = not store.check().clean
            samples.dump(store)
            # The child may have replaced one of its five documents without living to say so.
            other = [s for s, doc_id in committed.items() if present.get(s) != doc_id]
            lost = len(other) > 1 or not committed.keys() <= present.keys()
            samples.put(store, 1, source="/next.pdf")
        outcomes["torn" if torn else "lost" if lost else "whole"] += 1
    return outcomes


def main() -> None:
    """Run the long trials and print their outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--step", type=int, default=7, help="cut files at every STEP-th byte")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    try:
        sample_store(place / "store")
        runs: dict[str, Callable[[], Counter[str]]] = {
            "bit flips": lambda: damage_trials(
                place / "store", flips(place / "store", options.trials, options.seed)
            ),
            "truncations": lambda: damage_trials(
                place / "store", truncations(place / "store", options.step)
            ),
            "kills": lambda: kill_trials(place / "store", options.trials, options.seed),
        }
        for name, run in runs.items():
            print(name, dict(sorted(run().items())), flush=True)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
