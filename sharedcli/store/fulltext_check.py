"""Is the full-text index what the stored text makes?

The index has no digest, because SQLite rewrites it as it grows. So it is compared, word by word,
with one made anew in memory from the verified text.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import zip_longest

from sharedcli.errors import CorruptionError
from sharedcli.store import fulltext, library, rows, schema


def search_index_is_sound(connection: sqlite3.Connection) -> bool:
    """Tell whether the full-text index is just what the stored text makes."""
    try:
        return index_matches_text(connection)
    except CorruptionError:
        return False


def index_matches_text(connection: sqlite3.Connection) -> bool:
    """Tell the same, but raise ``CorruptionError`` if a document's text is damaged."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in schema.FULL_TEXT_TABLES:
            fresh.execute(statement)
        for entry in list(rows.entries(connection)):
            text, _ = rows.text(connection, entry)
            passages, _ = library.passages(connection, entry)
            fulltext.index_passages(fresh, entry.key, text, passages)
        try:
            return _same_index(connection, fresh)
        except (sqlite3.DatabaseError, UnicodeDecodeError, MemoryError):
            return False  # a damaged length may ask for more memory than there is


_INDEX_CONTENT = (
    "SELECT term, doc, offset FROM passage_words",
    "SELECT id, sz FROM passage_text_docsize ORDER BY id",
    "SELECT rtrim(hex(block), '0') FROM passage_text_data WHERE id = 1",
)
"""Every occurrence of every word; the lengths of passages; the totals that BM25 divides by."""


def _same_index(stored: sqlite3.Connection, fresh: sqlite3.Connection) -> bool:
    for query in _INDEX_CONTENT:
        for one, other in zip_longest(stored.execute(query), fresh.execute(query)):
            if one != other:
                return False
    # The scan above walks all pages; a search finds its page through another table.
    words = fresh.execute("SELECT term, count(*) FROM passage_words GROUP BY term")
    seek = "SELECT count(*) FROM passage_words WHERE term = ?"
    return all(stored.execute(seek, (word,)).fetchone()[0] == count for word, count in words)
