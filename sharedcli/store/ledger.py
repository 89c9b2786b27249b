"""The library's seal: one sum over the lists of documents and of failed files.

A row's own seal cannot tell that a whole row is missing; this does. It is a sum of digests, so a
commit costs the same in a library of any size, and a row that was lost stays missed through later
commits until ``gc`` accepts the loss.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from sharedcli.store.digests import digest, is_sha256

_QUERY = "SELECT value FROM meta WHERE name = 'library'"
Rows = Iterable[tuple[Any, ...]]


def is_sealed(connection: sqlite3.Connection) -> bool:
    """Tell whether the lists of documents and failures are as the commits left them."""
    row = connection.execute(_QUERY).fetchone()
    return bool(row is not None and row[0] == _total(connection))


def seal(connection: sqlite3.Connection) -> None:
    """Accept the lists as they are now."""
    connection.execute(
        "INSERT OR REPLACE INTO meta(name, value) VALUES ('library', ?)",
        (_total(connection),),
    )


def documents(connection: sqlite3.Connection, key: int | None = None) -> Rows:
    """Return what is summed up of all documents, or of one."""
    chosen = "" if key is None else "WHERE key = :key"
    return connection.execute(
        f"SELECT 'document', key, id, record_sha256 FROM documents {chosen}", {"key": key}
    ).fetchall()


def _total(connection: sqlite3.Connection) -> str:
    failed = connection.execute("SELECT 'failed', source, reason, failed_at FROM failed")
    return _hex(_sum(documents(connection)) + _sum(failed))


def shift(connection: sqlite3.Connection, gone: Rows, new: Rows) -> None:
    """Change the library's seal by the rows that go and come.

    It is a sum of digests, so a commit costs the same in a library of any size, and a row that was
    lost stays missed through later commits.
    """
    row = connection.execute(_QUERY).fetchone()
    before = int(row[0], 16) if row is not None and is_sha256(row[0]) else 0
    connection.execute(
        "INSERT OR REPLACE INTO meta(name, value) VALUES ('library', ?)",
        (_hex(before - _sum(gone) + _sum(new)),),
    )


def _sum(found: Rows) -> int:
    return sum(int(digest(*row), 16) for row in found)


def _hex(total: int) -> str:
    return f"{total % (1 << 256):064x}"
