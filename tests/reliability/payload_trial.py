"""Payloads for terminals in every text of an answer, in every output mode: what gets through.

python tests/reliability/payload_trial.py

Each payload stands in the question, the answer (cut after every character), the document's name,
title, page label and quote, the model's name and the notes. Looked at is every character that the
command writes; where colours are asked for, our own colour sequences are set aside first.
"""

import argparse
import io
import os
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout

import trial_setup as setup

sys.path.insert(0, str(setup.TESTS / "cli"))
import test_cli_payloads as payloads  # isort: skip

from sharedcli.answer.answer import Answer
from sharedcli.cli.run import run
from sharedcli.engine.engine import Engine

MODES = {**payloads.MODES, "json, quiet": ("--json", "-q")}


def trial(every: int = 1) -> Counter[str]:
    """Try every payload, or every so-manyth; count runs, characters and what got through."""
    counts: Counter[str] = Counter(payloads=0)
    real, before = Engine.ask, os.environ.get("FORCE_COLOR")
    try:
        for payload in payloads.PAYLOADS[::every]:
            counts["payloads"] += 1
            for mode, flags in MODES.items():
                for colour in ("", "1"):
                    os.environ["FORCE_COLOR"] = colour
                    given = payloads.answer(payload, list(f"before {payload} after"))
                    Engine.ask = _fixed(given)  # type: ignore[method-assign]
                    shown = _written(["ask", f"what {payload}?", *flags])
                    assert "before" in shown, (mode, shown)
                    counts["runs"] += 1
                    counts["characters"] += len(shown)
                    plain = payloads.COLOUR.sub("", shown) if colour else shown
                    counts["got through"] += len(payloads.FORBIDDEN.findall(plain))
    finally:
        Engine.ask = real  # type: ignore[method-assign]
        if before is None:
            os.environ.pop("FORCE_COLOR", None)
        else:
            os.environ["FORCE_COLOR"] = before
    return counts


def _fixed(answer: Answer) -> object:
    return lambda *_arguments, **_named: answer


def _written(arguments: list[str]) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        run(arguments)
    return out.getvalue()


def main() -> None:
    """Run the trial at full size."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SHAREDCLI_HOME"] = folder
        setup.report("payloads", **trial())


if __name__ == "__main__":
    main()
