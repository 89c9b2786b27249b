"""Path patterns in the syntax of .gitignore: ignore files, and what users include or exclude.

Matching is pathspec's. Added here: rules of nested folders with git's precedence, and a bound on
wildcards, because a pattern is compiled to a regular expression that backtracks, and the ignore
file in a stranger's folder is as hostile as the documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError

from sharedcli.errors import DocumentError, UsageError
from sharedcli.ingest.files import open_document
from sharedcli.ingest.limits import Limits

IGNORE_FILE = ".gitignore"
_LIMITS = Limits(file_bytes=1 << 20)
_MAX_PATTERN = 500
_MAX_WILDCARDS = 4  # in one part of a pattern; backtracking grows with this power of the name
_MAX_DOUBLE = 3  # "**" parts in one pattern
# Nobody chose the ignore file in a stranger's folder, and each name is matched with every line.
_FILE_LINES = 5000
_FILE_WILDCARDS = 3
_FILE_COSTLY = 20  # lines with that many
_WILDCARD_RUN = re.compile(r"\*+")


def is_harmless(pattern: str, wildcards: int = _MAX_WILDCARDS) -> bool:
    """Whether a pattern can be matched in reasonable time."""
    parts = pattern.split("/")
    doubles = sum(part == "**" for part in parts)
    single = max(len(_WILDCARD_RUN.findall(part)) for part in parts)
    return len(pattern) <= _MAX_PATTERN and single <= wildcards and doubles <= _MAX_DOUBLE


def compile_patterns(patterns: Iterable[str]) -> GitIgnoreSpec | None:
    """Compile patterns that the user typed; None without any.

    Raises:
        UsageError: a pattern is malformed or has too many wildcards.
    """
    chosen = list(patterns)
    for pattern in chosen:
        if not is_harmless(pattern):
            raise UsageError(f"pattern {pattern!r} has too many wildcards; use fewer '*'")
    try:
        return GitIgnoreSpec.from_lines(chosen) if chosen else None
    except GitIgnorePatternError as error:
        raise UsageError(f"malformed pattern ({error}); see the syntax of .gitignore") from None


def _compile_file(path: Path) -> GitIgnoreSpec | None:
    """Compile an ignore file, leaving out lines that are malformed, dangerous or too many."""
    try:
        with open_document(path, _LIMITS) as stream:
            lines = stream.read().decode("utf-8", "surrogateescape").splitlines()
    except (DocumentError, OSError):
        return None
    usable: list[str] = []
    costly = 0
    for line in lines:
        if not line.strip() or line.startswith("#") or not is_harmless(line, _FILE_WILDCARDS):
            continue
        if not is_harmless(line, _FILE_WILDCARDS - 1):
            costly += 1
            if costly > _FILE_COSTLY:
                continue
        if len(usable) == _FILE_LINES:
            break
        try:
            GitIgnoreSpec.from_lines([line])
            usable.append(line)
        except GitIgnorePatternError:
            continue
    return GitIgnoreSpec.from_lines(usable) if usable else None


@dataclass(frozen=True)
class IgnoreRules:
    """The ignore files from the top of the repository down to one folder.

    Attributes:
        layers: folder (as path parts) and rules, outermost first.
    """

    layers: tuple[tuple[tuple[str, ...], GitIgnoreSpec], ...] = ()

    @classmethod
    def above(cls, folder: Path) -> IgnoreRules:
        """Return the rules that a folder inherits: those above it, inside of its repository."""
        parents: list[Path] = []
        top = folder.absolute()
        for parent in (top, *top.parents):
            if (parent / ".git").exists():
                break
            parents.append(parent.parent)
        else:
            return cls()
        rules = cls()
        for parent in reversed(parents):
            rules = rules.entering(parent, parent.parts)
        return rules

    def entering(self, folder: Path, parts: tuple[str, ...]) -> IgnoreRules:
        """Return the rules inside of ``folder``, whose absolute path has these ``parts``."""
        spec = _compile_file(folder / IGNORE_FILE)
        return self if spec is None else IgnoreRules((*self.layers, (parts, spec)))

    def ignores(self, parts: tuple[str, ...], is_folder: bool) -> bool:
        """Whether git would ignore the absolute path; the innermost file that says so decides."""
        for folder, spec in reversed(self.layers):
            relative = "/".join(parts[len(folder) :]) + ("/" if is_folder else "")
            verdict = spec.check_file(relative).include
            if verdict is not None:
                return verdict
        return False
