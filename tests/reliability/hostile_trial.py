"""Hostile files, one by one: what comes of each, how long it takes, and how much memory.

python tests/reliability/hostile_trial.py

Each file is read in a process of its own, as ``sharedcli index`` reads it. The columns are seconds
by the clock, seconds of the processor, and the peak memory of that process or of its worker.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hostile_corpus
import trial_setup as setup

from sharedcli.ingest.sanitise import printable_path

SECONDS, MEMORY = 30.0, 1 << 30
PROBE = """
import resource, sys
from sharedcli.errors import DocumentError
from sharedcli.ingest.reader import DocumentReader
path = sys.argv[1]
with DocumentReader() as reader:
    try:
        document = reader.read(path)
        print(f"read: {len(document.text):,} characters")
    except DocumentError as error:
        print(f"refused: {str(error).rpartition(path.rpartition('/')[2] + ': ')[2]}")
# what the system counts for a process begins with its parent's peak; this does not
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(max(int(own), worker))
"""


def attempt(path: Path) -> tuple[str, float, float, int]:
    """Read one file; return what came of it, seconds by the clock and processor, peak bytes."""
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-c", PROBE, os.fspath(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(setup.TESTS.parent)},
    )
    assert child.stdout and child.stderr
    said, wrong = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    child.stderr.close()
    outcome, _, peak = said.decode(errors="replace").strip().rpartition("\n")
    if child.returncode or wrong or not outcome:
        outcome = f"CRASHED: {wrong.decode(errors='replace')[-200:]}"
    processor = usage.ru_utime + usage.ru_stime
    return outcome, time.monotonic() - began, processor, int(peak or usage.ru_maxrss) * 1024


def trial(place: Path, names: list[str] | None = None) -> Counter[str]:
    """Build the files and try each; print a line per file."""
    place.mkdir()
    counts: Counter[str] = Counter()
    for name, build in hostile_corpus.FILES.items():
        if names is None or name in names:
            _write(place / name, build)
            _tell(place / name, counts)
            (place / name).unlink()
    for path in hostile_corpus.special(place):
        _tell(path, counts)
    return counts


def _write(path: Path, build: Callable[[], bytes]) -> None:
    """In a child: what this process takes at its peak would count as the next one's."""
    child = os.fork()
    if child == 0:
        try:
            path.write_bytes(build())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, path


def _tell(path: Path, counts: Counter[str]) -> None:
    outcome, seconds, processor, memory = attempt(path)
    name = printable_path(path.name)
    name = name if len(name) < 40 else f"{name[:36]}..."
    print(
        f"{name:40} {seconds:5.1f} s {processor:5.1f} s {memory / 1e6:5.0f} MB  {outcome}",
        flush=True,
    )
    counts["files"] += 1
    counts[outcome.partition(":")[0]] += 1
    counts["over 30 s"] += seconds > SECONDS + 1
    counts["over 1 GiB"] += memory > MEMORY
    counts["most seconds"] = max(counts["most seconds"], round(seconds))
    counts["most processor seconds"] = max(counts["most processor seconds"], round(processor))
    counts["most MB"] = max(counts["most MB"], round(memory / 1e6))


def main() -> None:
    """Try them all."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setup.report("hostile files", **trial(Path(folder, "files")))


if __name__ == "__main__":
    main()
