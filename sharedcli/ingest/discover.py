"""Which files a folder offers as documents.

Notable choices:
- The order is stable: what was named comes in the order named, folders are walked by name.
- Files named explicitly are always tried. Inside of folders only known kinds count, hidden names
  and what .gitignore excludes are passed over in silence, as search tools do.
- What looks like a document but cannot be one (a pipe, a link that leads round in a circle, a
  folder without permission) is reported with the reason, not dropped: nothing vanishes.
- Symbolic links inside of folders are not followed: they may lead out of the folder, to files that
  nobody meant to index. Links named explicitly are.

It opens no document; it only looks at names and types.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from sharedcli.ingest.files import kind_problem, reason_for
from sharedcli.ingest.formats import is_document_name
from sharedcli.ingest.ignore import IgnoreRules, compile_patterns
from sharedcli.ingest.sanitise import absolute_path, printable_path

STDIN = "-"


@dataclass(frozen=True)
class FoundFile:
    """A document to be read, or the reason why it cannot be.

    Attributes:
        path: what to open; ``Path("-")`` for standard input.
        source: printable form of the path, equal to ``Document.source``; safe to store and show.
        size: bytes, 0 if unknown.
        mtime_ns: modification time in nanoseconds, 0 if unknown.
        named: True if it was named itself, False if found in a folder.
        problem: why it cannot be a document, as the end of a sentence; None if it can.
    """

    path: Path
    source: str
    size: int = 0
    mtime_ns: int = 0
    named: bool = False
    problem: str | None = None

    @property
    def place(self) -> str:
        """The absolute form of ``source``; "" for standard input."""
        return "" if self.source == STDIN else absolute_path(self.source)


def find_files(
    paths: Sequence[str | Path],
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    *,
    hidden: bool = False,
    gitignore: bool = True,
) -> Iterator[FoundFile]:
    """Yield the documents among ``paths`` and in the folders among them, each file once.

    Args:
        paths: files, folders, or "-" for standard input.
        include: patterns in .gitignore syntax, relative to the folder given; if there are any,
            only files that match one are taken, of whatever kind they are.
        exclude: patterns of files and folders to leave out. Neither applies to files named.
        hidden: take names that start with a dot too.
        gitignore: respect .gitignore files, also those above the folder in the same repository.

    Raises:
        UsageError: a pattern is malformed.
    """
    walk = _Walk(compile_patterns(include), compile_patterns(exclude), hidden, gitignore)
    return walk.run(paths)


class _Walk:
    def __init__(
        self,
        include: GitIgnoreSpec | None,
        exclude: GitIgnoreSpec | None,
        hidden: bool,
        gitignore: bool,
    ) -> None:
        self._include = include
        self._exclude = exclude
        self._hidden = hidden
        self._gitignore = gitignore
        self._seen: set[str] = set()

    def run(self, paths: Sequence[str | Path]) -> Iterator[FoundFile]:
        for path in map(Path, paths):
            if str(path) == STDIN:
                yield FoundFile(path, STDIN, named=True)
                continue
            try:
                status = path.stat()
            except (OSError, ValueError) as error:
                yield _problem(path, error, named=True)
                continue
            if path.is_dir():
                yield from self._folder(path)
            elif self._is_new(str(path.resolve())):
                yield _found(path, status, named=True)

    def _is_new(self, resolved: str) -> bool:
        """Whether this file was not yielded before, under this or another spelling."""
        if resolved in self._seen:
            return False
        self._seen.add(resolved)
        return True

    def _folder(self, root: Path) -> Iterator[FoundFile]:
        top = root.resolve()
        rules = IgnoreRules.above(top) if self._gitignore else IgnoreRules()
        if rules.ignores(top.parts, is_folder=True):
            # Whoever names a folder that git ignores wants what is in it.
            rules = IgnoreRules()
        # An explicit stack: folders nested deeper than Python recurses are easy to make.
        stack: list[tuple[Path, tuple[str, ...], IgnoreRules]] = [(root, top.parts, rules)]
        depth = len(top.parts)
        while stack:
            folder, parts, rules = stack.pop()
            if self._gitignore:
                rules = rules.entering(folder, parts)
            try:
                with os.scandir(folder) as entries:
                    listing = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                yield _problem(folder, error, named=folder is root)
                continue
            folders: list[tuple[Path, tuple[str, ...], IgnoreRules]] = []
            for entry in listing:
                inside = (*parts, entry.name)
                is_folder = _is_folder(entry)
                if self._is_passed_over(entry.name, inside, depth, is_folder, rules):
                    continue
                path = folder / entry.name
                if is_folder:
                    folders.append((path, inside, rules))
                elif self._is_wanted(entry.name, inside[depth:]) or _is_linked_folder(entry):
                    found = _inspect(path, entry)
                    if found.problem is not None or self._is_new(str(Path(*inside))):
                        yield found
            stack.extend(reversed(folders))

    def _is_passed_over(
        self, name: str, parts: tuple[str, ...], depth: int, is_folder: bool, rules: IgnoreRules
    ) -> bool:
        if name.startswith(".") and (not self._hidden or name == ".git"):
            return True
        relative = "/".join(parts[depth:]) + ("/" if is_folder else "")
        if self._exclude is not None and self._exclude.match_file(relative):
            return True
        return rules.ignores(parts, is_folder)

    def _is_wanted(self, name: str, relative: tuple[str, ...]) -> bool:
        if self._include is None:
            return is_document_name(name)
        return bool(self._include.match_file("/".join(relative)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # a link to itself
        return True


def _inspect(path: Path, entry: os.DirEntry[str]) -> FoundFile:
    try:
        if entry.is_symlink():
            reason = "is a symbolic link, which is not followed inside a folder; name it directly"
            return FoundFile(path, printable_path(path), problem=reason)
        return _found(path, entry.stat(follow_symlinks=False), named=False)
    except OSError as error:
        return _problem(path, error, named=False)


def _found(path: Path, status: os.stat_result, named: bool) -> FoundFile:
    return FoundFile(
        path,
        printable_path(path),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        named=named,
        problem=kind_problem(status.st_mode),
    )


def _problem(path: Path, error: OSError | ValueError, named: bool) -> FoundFile:
    reason = reason_for(error) if isinstance(error, OSError) else "is no valid file name"
    return FoundFile(path, printable_path(path), named=named, problem=reason)
