"""What the long trials share: a tiny model, an environment without the user's own, a report."""

import os
import platform
import runpy
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
for _folder in ("store", "ingest"):
    sys.path.insert(0, str(TESTS / _folder))

SIZES = {"chunk_tokens": 128, "depth": 2, "slots_per_node": 4}


def tiny_model(folder: Path) -> Path:
    """Write the tiny seeded model of the test-suite into ``folder``."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    folder.mkdir(parents=True, exist_ok=True)
    runpy.run_path(str(TESTS / "conftest.py"))["write_tiny_base"](folder)
    return folder


def environment(place: Path, model: str) -> dict[str, str]:
    """For processes: everything below ``place``, nothing from the network."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SHAREDCLI_", "XDG_", "HF_"))
    }
    sizes = {f"SHAREDCLI_{name.upper()}": str(value) for name, value in SIZES.items()}
    return {
        **kept,
        **sizes,
        "PYTHONPATH": str(TESTS.parent),
        "HOME": str(place),
        "SHAREDCLI_HOME": str(place / "store"),
        "SHAREDCLI_CACHE": str(place / "cache"),
        "SHAREDCLI_MODEL": model,
        "SHAREDCLI_DEVICE": "cpu",
        "SHAREDCLI_DTYPE": "float32",
        "SHAREDCLI_OFFLINE": "1",
        "SHAREDCLI_MAX_TOKENS": "8",
        "OMP_NUM_THREADS": "1",
    }


def report(name: str, **figures: object) -> None:
    """Print one line: what was tried, what came out, where and when."""
    said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures.items())
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    print(f"{name}: {said} ({machine}, {time.strftime('%Y-%m-%d')})", flush=True)
