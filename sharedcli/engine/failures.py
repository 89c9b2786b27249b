"""Which files could not be indexed: noted when they fail, forgotten when they are well again."""

from __future__ import annotations

import os
from functools import cached_property

from sharedcli.errors import CorruptionError
from sharedcli.ingest.discover import FoundFile
from sharedcli.store.store import Store


class Failures:
    """The store's list of failed files, as a run of ``index`` changes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, found: FoundFile, reason: str) -> None:
        """Remember why a file failed; a name that leads nowhere is told once, not kept."""
        if os.path.lexists(found.path) or not found.place:
            self._store.record_failure(found.source, reason)

    def has(self, found: FoundFile) -> bool:
        """Whether the file failed before this run: a scan does so at every one."""
        return found.place in self._places

    def well(self, found: FoundFile) -> None:
        """Forget that a file failed before: its document is as the file is now."""
        if self.has(found):
            self._store.clear_failure(found.source)

    @cached_property
    def _places(self) -> frozenset[str]:
        try:
            return frozenset(one.source for one in self._store.failures())
        except CorruptionError:  # ``status`` says so, and what to do
            return frozenset()
