"""The steps from older versions of the store's format to this release's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from sharedcli.store import library, schema

STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {
    1: library.rebuild_search,  # scripts without blanks are indexed by pieces of their runs
}
"""Step ``n`` turns a store of version ``n`` into one of version ``n + 1``."""


def migrate(connection: sqlite3.Connection, current: int) -> None:
    """Take a store from version ``current`` to this one. Runs inside the caller's transaction."""
    for step in range(current, schema.FORMAT_VERSION):
        STEPS[step](connection)
        connection.execute(f"PRAGMA user_version = {step + 1}")
