"""Random damage to everything that is read: only errors made on purpose may come of it.

python tests/reliability/fuzz_trial.py --seconds 3600 readers

Seconds are of the processor, children included, per target. Progress is told once a minute; SIGTERM
and Ctrl-C end a run with its counts so far. Every input that leads to a crash is kept.
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import trial_setup as setup
from fuzz_readers import fuzz_readers
from fuzz_run import Run
from fuzz_settings import fuzz_settings
from fuzz_store import fuzz_import, fuzz_store

TARGETS: dict[str, Callable[[Path, random.Random, Run], None]] = {
    "readers": fuzz_readers,
    "store": fuzz_store,
    "import": fuzz_import,
    "settings": fuzz_settings,
}


def trial(target: str, place: Path, seconds: float, seed: int = 0) -> Counter[str]:
    """Fuzz one target for so many seconds of the processor."""
    place.mkdir()
    run = Run(target, seconds, place / "crashes")
    TARGETS[target](place, random.Random(seed), run)
    return run.counts


def main() -> None:
    """Fuzz every target, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that lead to a crash")
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    options = parser.parse_args()
    keep = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-crashes-"))
    with tempfile.TemporaryDirectory() as folder:
        for target in options.targets:
            place = Path(folder, target)
            place.mkdir()
            run = Run(target, options.seconds, keep, aloud=True)
            run.stop_on_signals()
            TARGETS[target](place, random.Random(options.seed), run)
            counts = {"crashes": 0, "wrong answers": 0, **run.counts}
            inputs = sum(run.counts.values())
            setup.report(
                f"fuzzing {target}", processor_seconds=round(run.spent), inputs=inputs, **counts
            )


if __name__ == "__main__":
    main()
