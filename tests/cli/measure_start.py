"""Time `sharedcli ask` as a user sees it; see docs/reference/performance-notes.md.

    python tests/cli/measure_start.py QUESTION [--runs 6] [-- ASK-OPTIONS...]

Seconds from the start of the process to the first and the last character of the answer, and to its
end. No time is asserted anywhere.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

MARKS = ("first character", "last character", "end of the process")


def asked(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds to each of ``MARKS`` of one run."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "sharedcli", "ask", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        marks = []
        while os.read(process.stdout.fileno(), 4096):
            marks.append(time.perf_counter() - started)
        process.wait()
        ended = time.perf_counter() - started
    if process.returncode or not marks:
        raise SystemExit(f"sharedcli ask ended with code {process.returncode}; see what it says")
    return marks[0], marks[-1], ended


def main() -> None:
    """Measure and print medians with the smallest and largest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("question")
    parser.add_argument("--runs", type=int, default=6)
    chosen, options = parser.parse_known_args()
    given = [option for option in options if option != "--"]
    runs = [asked([chosen.question, *given]) for _ in range(chosen.runs)]
    for name, seconds in zip(MARKS, zip(*runs, strict=True), strict=True):
        middle = statistics.median(seconds)
        print(f"{name}: {middle:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
