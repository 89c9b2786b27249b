"""``python -m sharedcli.cli.static FOLDER``: write the man page and the shell completions.

The repository keeps them in ``docs/static``, from where the wheel installs them; a test makes sure
that they are current.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sharedcli.cli.completions import bash, fish, zsh
from sharedcli.cli.description import commands
from sharedcli.cli.manpage import manpage


def static_files() -> dict[str, str]:
    """Name and content of every file."""
    found = commands()
    return {
        "sharedcli.1": manpage(found),
        "sharedcli.bash": bash(found),
        "_sharedcli": zsh(found),
        "sharedcli.fish": fish(found),
    }


def main(arguments: list[str]) -> int:
    """Write the files into the folder that is named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m sharedcli.cli.static FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in static_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
