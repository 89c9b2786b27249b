"""Which files of a folder are followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sharedcli.ingest.discover import FoundFile, find_files


@dataclass(frozen=True)
class Filters:
    """What to take from folders; files that are named themselves are always taken.

    Attributes:
        include: patterns in .gitignore syntax; if there are any, only what matches one.
        exclude: patterns of what to leave out.
        hidden: names that start with a dot too.
        gitignore: leave out what .gitignore files say.
        passed_over: by source, size and modification time of files that are left out as long as
            they have these: ``watch`` has seen them fail.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    gitignore: bool = True
    passed_over: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def find(paths: Sequence[str], filters: Filters | None = None) -> list[FoundFile]:
    """Return the documents among ``paths``. ``UsageError`` if a pattern is malformed."""
    chosen = filters or Filters()
    found = find_files(
        paths, chosen.include, chosen.exclude, hidden=chosen.hidden, gitignore=chosen.gitignore
    )
    return [one for one in found if chosen.passed_over.get(one.source) != (one.size, one.mtime_ns)]
