"""Options of ``index`` and ``watch``: which files of folders are taken."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_FOLDERS: dict[str, Any] = {"rich_help_panel": "Folders"}

Prune = Annotated[
    bool, typer.Option("--prune", help="Remove documents whose files left the folders.")
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="Only these files of folders.", **_FOLDERS),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Not these files or folders.", **_FOLDERS),
]
Hidden = Annotated[
    bool, typer.Option("--hidden", help="Names that start with a dot too.", **_FOLDERS)
]
NoGitignore = Annotated[
    bool,
    typer.Option("--no-gitignore", help="What .gitignore files leave out too.", **_FOLDERS),
]
