"""A disk that is full, failing, short or lying at every durable call: the old store or the new.

python tests/reliability/disk_trial.py

Works on a store: replace a document by a short and by a long one, rename one, note that files were
touched, remove one, take an exported one in, collect garbage. The calls are every write, fsync,
rename, unlink and commit that they make.
"""

import argparse
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import trial_setup as setup

import store_faults as faults  # isort: skip
import test_store_durable as durability  # isort: skip

from sharedcli.errors import SharedCLIError


def _long(path: Path) -> None:
    with faults.Store.open(path) as store:
        faults.samples.put(store, 8, chunks=12, source="/papers/a.pdf")


def _rename(path: Path) -> None:
    with faults.Store.open(path) as store:
        store.relocate(store.documents()[0].id, source="/papers/new name.pdf", title="New")


def _touch(path: Path) -> None:
    with faults.Store.open(path) as store:
        store.touch({record.id: (1, 2) for record in store.documents()})


def _import(path: Path) -> None:
    with faults.Store.open(path) as store:
        store.import_file(path.parent / "whole.tree")


WORKS = {
    **durability.WORKS,
    "long": _long,
    "rename": _rename,
    "touch": _touch,
    "import": _import,
}


def trial(place: Path, modes: tuple[str, ...] = faults.FAILURES) -> dict[str, Counter[str]]:
    """Strike every call of every work in every mode; count what the store was afterwards."""
    origin = place / "origin"
    faults.sample_store(origin)
    shutil.copytree(setup.TESTS / "store" / "golden" / "v1" / "store", place / "golden")
    with faults.Store.open(place / "golden") as golden:
        golden.export(golden.documents()[0].id, place / "whole.tree")
    found = {mode: Counter(torn=0) for mode in modes}
    for work in WORKS.values():
        calls, allowed = durability.before_and_after(origin, work, place / "copy")
        for mode in modes:
            for at, name in enumerate(calls, start=1):
                if mode in ("short", "lying") and name != "write":
                    continue
                path = next(durability.copies(origin, place / "copy"))
                found[mode]["struck"] += 1
                with faults.disk_is(faults.FailingDisk(at, mode)):
                    try:
                        work(path)
                    except SharedCLIError:
                        found[mode]["told by a sentence"] += 1
                found[mode][_state(path, allowed)] += 1
    return found


def _state(path: Path, allowed: list[dict[str, object]]) -> str:
    try:
        state = durability.state(path)
    except (AssertionError, SharedCLIError):
        return "torn"
    return ("old store", "new store")[allowed.index(state)] if state in allowed else "torn"


def main() -> None:
    """Run the trial."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as place:
        for mode, counts in trial(Path(place)).items():
            setup.report(f"disk, {mode}", **counts)


if __name__ == "__main__":
    main()
