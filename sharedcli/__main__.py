"""``python -m sharedcli`` and the ``sharedcli`` command."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        from sharedcli.cli.run import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while still importing
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
