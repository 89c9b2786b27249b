"""The catalogue's tables and its format version.

Notable choices:
- Rows that are read one by one carry a SHA-256 of their own content, because SQLite does not notice
  a flipped bit. ``docs/reference/store-format.md`` lists what each seal covers.
- Paths and free text are UTF-8 BLOBs: file names may hold bytes that are no valid Unicode, which
  SQLite's TEXT cannot carry.
- The full-text table is contentless: the text is stored once, compressed, in ``texts``.
  ``rowid >> 20`` is the document's key, the lower bits are the passage's ordinal.
"""

from __future__ import annotations

import sqlite3

FORMAT_VERSION = 2
"""``PRAGMA user_version`` of stores that this release writes."""

APPLICATION_ID = 0x53684C4D
"""``PRAGMA application_id``: "ShLM"."""

ORDINAL_BITS = 20
"""Low bits of a full-text rowid that hold the passage's ordinal."""

TABLES = """
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE identities (
    digest TEXT PRIMARY KEY,
    fields TEXT NOT NULL
);
CREATE TABLE documents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    source BLOB NOT NULL,
    identity TEXT NOT NULL REFERENCES identities(digest),
    document_sha256 TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    details TEXT NOT NULL,
    pages INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    added_at TEXT NOT NULL,
    contents_sha256 TEXT NOT NULL,
    record_sha256 TEXT NOT NULL
);
CREATE INDEX documents_by_source ON documents(source);
CREATE INDEX documents_by_content ON documents(document_sha256);
CREATE TABLE texts (
    document INTEGER PRIMARY KEY REFERENCES documents(key) ON DELETE CASCADE,
    text BLOB NOT NULL,
    pages BLOB NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE TABLE passages (
    document INTEGER PRIMARY KEY REFERENCES documents(key) ON DELETE CASCADE,
    spans BLOB NOT NULL,
    vector_size INTEGER NOT NULL,
    vectors BLOB NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE TABLE segments (
    document INTEGER NOT NULL REFERENCES documents(key) ON DELETE CASCADE,
    segment INTEGER NOT NULL,
    blob TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (document, segment)
);
CREATE INDEX segments_by_blob ON segments(blob);
CREATE TABLE chunks (
    document INTEGER NOT NULL REFERENCES documents(key) ON DELETE CASCADE,
    chunk INTEGER NOT NULL,
    token_start INTEGER NOT NULL,
    token_end INTEGER NOT NULL,
    char_start INTEGER NOT NULL,
    char_end INTEGER NOT NULL,
    tokens BLOB NOT NULL,
    blob TEXT NOT NULL,
    tensors TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (document, chunk)
);
CREATE TABLE retired (
    blob TEXT PRIMARY KEY,
    since REAL NOT NULL
);
CREATE TABLE failed (
    source BLOB PRIMARY KEY,
    reason BLOB NOT NULL,
    failed_at TEXT NOT NULL
);
"""

FULL_TEXT_TABLES = (
    "CREATE VIRTUAL TABLE passage_text USING fts5("
    "text, content='', tokenize='porter unicode61 remove_diacritics 2')",
    "CREATE VIRTUAL TABLE passage_words USING fts5vocab('passage_text', 'instance')",
)
"""The index, and a view of its words that ``check`` compares; the view stores nothing."""


def version(connection: sqlite3.Connection) -> int:
    """Return the store's format version; 0 if it has no tables yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def create(connection: sqlite3.Connection) -> None:
    """Lay out an empty catalogue. Runs inside the caller's transaction."""
    for statement in (*TABLES.split(";\n"), *FULL_TEXT_TABLES):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
