"""With a warm cache no command asks the network for anything.

python tests/reliability/offline_trial.py

Every attempt to look a name up or to connect is counted by Python's audit events and refused.
``SHAREDCLI_OFFLINE`` is not set: the cache alone must be enough.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import trial_setup as setup

PROBE = """
import json, sys
attempts = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        attempts.append([event, repr(arguments)])
        raise OSError("the network is blocked")
sys.addaudithook(hook)
from sharedcli.cli.run import run
codes = [run(arguments) for arguments in json.loads(sys.argv[1])]
sys.stderr.write("\\n" + json.dumps({"codes": codes, "attempts": attempts}) + "\\n")
"""


def trial(env: dict[str, str], place: Path) -> dict[str, object]:
    """Run the main commands in one process with the network blocked; return codes and attempts."""
    note = place / "note.txt"
    note.write_text("The lamp of the station burned four litres of colza oil in a night.\n" * 8)
    (place / "questions.jsonl").write_text('"What did the lamp burn?"\n')
    runs = [
        ["index", str(note), "-q"],
        ["index", str(place), "-q", "--include", "*.txt"],
        ["ask", "What did the lamp burn?", "-q"],
        ["ask", "--questions", str(place / "questions.jsonl"), "-q"],
        ["tree", "note.txt", "--query", "What did the lamp burn?", "-q"],
        ["model", "list"],
        ["check"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(runs)], env=env, capture_output=True, text=True
    )
    found: dict[str, object] = json.loads(done.stderr.strip().splitlines()[-1])
    return found


def main() -> None:
    """Try the default model with the user's own cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        env = {
            name: value
            for name, value in setup.environment(place, "default").items()
            if name not in ("SHAREDCLI_OFFLINE", "SHAREDCLI_CACHE", "HOME")
        }
        env["HOME"] = os.environ.get("HOME", "")
        found = trial(env, place)
        setup.report("network blocked", **found)


if __name__ == "__main__":
    main()
