"""Connections to ``catalogue.sqlite3`` and its transactions.

Notable choices:
- WAL: readers take no lock and see the last commit while a writer works. ``synchronous=FULL``: a
  commit that returned survives a power cut.
- ``secure_delete``: what the user removed is overwritten, not merely forgotten.
- Any ``sqlite3.Error`` leaves as an error of ``sharedcli.errors``: damaged files must end in a
  sentence, never in a traceback.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sharedcli.errors import (
    CorruptionError,
    ModelMismatchError,
    NoStoreError,
    SharedCLIError,
    StoreLockedError,
    UsageError,
)
from sharedcli.store import durable, ledger, migrations, schema

CATALOGUE = "catalogue.sqlite3"
_BUSY_TIMEOUT_S = 20.0


class Catalogue:
    """One connection to a store's catalogue, for reading or for writing.

    Safe to share between threads: transactions of one connection take turns.

    Raises:
        NoStoreError: there is no catalogue.
        ModelMismatchError: it was written by a newer release.
        UsageError: the file is some other database.
        CorruptionError: SQLite finds it damaged.
    """

    def __init__(self, store: Path, *, write: bool = False) -> None:
        self.path = store / CATALOGUE
        self._store = store
        self._lock = threading.RLock()
        with durable.translated(self.path):
            if not self.path.exists():
                raise NoStoreError(f"no store at {store}; make one with `sharedcli index FILE`")
        with guarded(self.path):
            self.connection = _connect(self.path, write)
            try:
                self.version = self._checked_version()
            except BaseException:
                self.connection.close()
                raise

    def _checked_version(self) -> int:
        found = schema.version(self.connection)
        tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = self.connection.execute("PRAGMA application_id").fetchone()[0]
        if not tables and not found:
            return 0
        if application != schema.APPLICATION_ID or found < 1:
            raise UsageError(
                f"{self.path} is not a catalogue of sharedcli; choose another place with --store"
            )
        if found > schema.FORMAT_VERSION:
            raise ModelMismatchError(
                f"the store at {self._store} has format version {found}, and this release reads "
                f"up to version {schema.FORMAT_VERSION}; upgrade sharedcli or choose another "
                "place with --store"
            )
        return found

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the catalogue for the length of the block."""
        with self._lock, guarded(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                # A read transaction has nothing to lose, and a failed one must not stay open.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block is committed durably, or nothing of it."""
        with self._lock, guarded(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                durable.disk.commit(self.connection)
            except BaseException:
                self.rollback()
                raise

    def rollback(self) -> None:
        """Drop the open transaction, if there is one."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Move the log into the database, unless a reader needs it: the log has no seals."""
        with self._lock, guarded(self.path):
            self.connection.execute("PRAGMA busy_timeout = 100")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT_S * 1000)}")

    def close(self) -> None:
        """Close the connection; an open transaction is dropped."""
        self.connection.close()


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    if mode == "ro" and not path.with_name(path.name + "-wal").exists():
        # A store on a read-only medium: nobody can be writing, and WAL's index cannot be made.
        mode = "ro&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA {'secure_delete' if write else 'query_only'} = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def create(store: Path) -> None:
    """Lay out an empty store, or finish one whose making was interrupted. Needs the lock."""
    path = store / CATALOGUE
    if not path.exists():
        with durable.translated(path):
            os.close(durable.disk.create(path))
            durable.disk.fsync_directory(store)
    catalogue = Catalogue(store, write=True)
    try:
        if catalogue.version == 0:
            with guarded(path):
                # Both must be set before the first table exists, outside any transaction.
                catalogue.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                catalogue.connection.execute("PRAGMA journal_mode = WAL")
            with catalogue.writing() as connection:
                schema.create(connection)
                ledger.seal(connection)
    finally:
        catalogue.close()


def upgrade(store: Path) -> None:
    """Bring a store of an older format to this release's. Needs the lock."""
    catalogue = Catalogue(store, write=True)
    try:
        with catalogue.writing() as connection:
            migrations.migrate(connection, schema.version(connection))
    finally:
        catalogue.close()


def catalogue_bytes(store: Path) -> int:
    """Return the bytes of the database and its log."""
    files = (store / (CATALOGUE + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn errors of SQLite inside the block into errors that say what to do next."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # wrong use of this module, not a wrong file
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        # Where SQLite's message quotes damaged bytes, Python cannot even decode the message. A
        # damaged length in the full-text index asks for more memory than there is.
        raise _translated(error, path) from error


def _translated(error: Exception, path: Path) -> SharedCLIError:
    text = str(error) or "SQLite finds no memory for what it says to hold"
    if isinstance(error, sqlite3.OperationalError):
        if "locked" in text or "busy" in text:
            return StoreLockedError(f"the store {path.parent} is busy; try again in a moment")
        if "is full" in text:
            return SharedCLIError(
                f"no space left for {path}; free some, or choose another place with --store, and "
                "run the same command again"
            )
        if "disk I/O error" in text or "unable to open" in text or "readonly" in text:
            return SharedCLIError(
                f"SQLite cannot use {path} ({text}); check the disk and the permissions of "
                f"{path.parent}"
            )
    return CorruptionError(
        f"the catalogue {path} is damaged ({text}); run `sharedcli check`, and if it cannot be "
        "read at all, move the store away and index the files again"
    )
