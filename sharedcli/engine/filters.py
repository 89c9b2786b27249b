"""Which files of a folder are followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sharedcli.ingest.discover import FoundFile, find_files


@dataclass(frozen=True)
class Filters:
    """What to take from folders; files that are named themselves are always taken.

    Attributes:
        include: patterns in .gitignore syntax; if there are any, only what matches one.
        exclude: patterns of what to leave out.
        hidden: names that start with a dot too.
        gitignore: leave out what .gitignore files say.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    gitignore: bool = True


def find(paths: Sequence[str], filters: Filters | None = None) -> list[FoundFile]:
    """Return the documents among ``paths``. ``UsageError`` if a pattern is malformed."""
    chosen = filters or Filters()
    return list(
        find_files(
            paths,
            chosen.include,
            chosen.exclude,
            hidden=chosen.hidden,
            gitignore=chosen.gitignore,
        )
    )
