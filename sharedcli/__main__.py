"""``python -m sharedcli`` and the ``sharedcli`` command."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    # Imports make a million objects that stay: looking through them again and again for cycles
    # took a third of a second until the models were there.
    gc.set_threshold(50_000, 20, 50)
    try:
        from sharedcli.cli.run import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while still importing
        code = 130
    finally:
        gc.freeze()  # nor look through them at the end, when all memory goes back anyway
    sys.exit(code)


if __name__ == "__main__":
    main()
