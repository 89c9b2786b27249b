"""``python -m sharedcli`` and the ``sharedcli`` command."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from sharedcli.process import search_path, set_up


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    sys.path[:] = search_path()
    set_up()
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
