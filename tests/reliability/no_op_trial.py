"""``index`` over a folder in which nothing has changed: how long, and without a model.

python tests/reliability/no_op_trial.py --files 1000
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trial_setup as setup

PROBE = """
import sys
from sharedcli.cli.run import run
code = run(sys.argv[1:])
loaded = sorted({"torch", "transformers"} & set(sys.modules))
sys.exit(code or (99 if loaded else 0))
"""


def timed(env: dict[str, str], *arguments: str) -> tuple[float, float, str]:
    """Wall seconds, processor seconds and output of a run that must load no model."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], env=env, capture_output=True, text=True
    )
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"code {done.returncode}: {done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def trial(place: Path, files: int, runs: int) -> dict[str, object]:
    """Index a folder of small files once, then ``runs`` times again."""
    env = setup.environment(place, str(setup.tiny_model(place / "model")))
    folder = place / "notes"
    for number in range(files):
        path = folder / f"{number % 10}" / f"note {number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"The keeper of lamp {number} wrote the weather into his book.\n" * 3)
    first = [sys.executable, "-m", "sharedcli", "index", str(folder), "-q"]
    subprocess.run(first, env=env, check=True)
    results = [timed(env, "index", str(folder)) for _ in range(runs)]
    return {
        "files": files,
        "best_wall_s": round(min(wall for wall, _, _ in results), 2),
        "best_processor_s": round(min(cpu for _, cpu, _ in results), 2),
        "said": results[-1][2].strip(),
    }


def main() -> None:
    """Run the trial at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setup.report("nothing new", **trial(Path(folder), options.files, options.runs))


if __name__ == "__main__":
    main()
