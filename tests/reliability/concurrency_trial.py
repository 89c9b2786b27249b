"""Readers beside writers, and many commands at once: nothing torn, nothing lost, no traceback.

python tests/reliability/concurrency_trial.py --readers 12 --writers 2 --commands 20
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import trial_setup as setup

import store_faults as faults  # isort: skip
import store_samples as samples  # isort: skip

from sharedcli.errors import NoStoreError
from sharedcli.store.store import Store

SOURCES = 5


def readers_and_writers(path: Path, readers: int, writers: int, seconds: float) -> Counter[str]:
    """Let processes read and replace documents for a while; count what came out."""
    Store.open(path, create=True).close()
    end = time.monotonic() + seconds

    def write(number: int) -> None:
        with faults.disk_is(faults.Disk()), Store.open(path, lock_timeout=600) as store:
            turn = 0
            while time.monotonic() < end or turn < SOURCES:
                seed = number + writers * turn
                samples.put(store, seed, 2, source=f"/{number}/{turn % SOURCES}.pdf")
                turn += 1

    def read() -> None:
        with Store.open(path) as store:
            seen = 0
            while time.monotonic() < end or not seen:
                for record in store.documents():
                    try:
                        found = store.load_document(record.id)
                        for span in store.chunks(record.id):
                            store.read_chunk(record.id, span.index)
                    except NoStoreError:
                        continue  # replaced between two questions
                    seen += 1
                    whole = samples.document(record.mtime_ns, 2, record.source)
                    assert found.text == whole.text

    codes: list[int] = []
    jobs = [read] * readers + [lambda n=n: write(n) for n in range(writers)]
    threads = [
        threading.Thread(target=lambda job=job: codes.append(faults.run_in_child(job)))
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = Counter({"processes": len(codes), "failed": sum(code != 0 for code in codes)})
    with Store.open(path) as store:
        outcomes["lost"] = writers * SOURCES - len(store.documents())
        outcomes["damaged"] = int(not store.check().clean)
    return outcomes


def commands(place: Path, count: int) -> Counter[str]:
    """Run ``index`` so many times at once, each with its own file, into one store."""
    env = setup.environment(place, str(setup.tiny_model(place / "model")))
    files = []
    for number in range(count):
        files.append(place / f"note {number}.txt")
        files[-1].write_text(f"The keeper of lamp {number} wrote it down. " * 30)
    outcomes: Counter[str] = Counter(commands=count)
    left = files
    while left:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "sharedcli", "index", str(file), "-q"],
                env=env,
                stderr=subprocess.PIPE,
                text=True,
            )
            for file in left
        ]
        again = []
        for file, process in zip(left, running, strict=True):
            _, said = process.communicate()
            outcomes["tracebacks"] += "Traceback" in said or "unexpected" in said
            outcomes["failed"] += process.returncode not in (0, 11)
            if process.returncode == 11:  # told that another one is writing; nothing was lost
                outcomes["told to wait"] += 1
                again.append(file)
        left = again
    with Store.open(place / "store") as store:
        outcomes["lost"] = count - len(store.documents())
        outcomes["damaged"] = int(not store.check().clean)
    return outcomes


def main() -> None:
    """Run both trials at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=12)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--commands", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = readers_and_writers(
            place / "shared", options.readers, options.writers, options.seconds
        )
        setup.report("readers and writers", **found)
        setup.report("parallel index", **commands(place, options.commands))


if __name__ == "__main__":
    main()
