"""Full-text search over passages with SQLite's FTS5.

Notable choices:
- The index is contentless; to take a passage out of it, its exact text must be given again, which
  the caller cuts from the (verified) document.
- Scripts without blanks between words are indexed by pieces of their runs (``ngrams``); a question
  is cut up in the same way.
- What reaches ``MATCH`` is FTS5 syntax. Text that a user typed must go through ``quote_term``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sharedcli.errors import UsageError
from sharedcli.store.ngrams import with_ngrams
from sharedcli.store.records import Passage, PassageHit
from sharedcli.store.schema import ORDINAL_BITS

_SYNTAX_ERRORS = ("fts5:", "unterminated string", "no such column", "unknown special query")
MAX_PASSAGES = 1 << ORDINAL_BITS


def quote_term(text: str) -> str:
    """Return ``text`` as an FTS5 string: its words as a phrase, with no syntax left in it."""
    clean = text.encode("utf-8", "replace").decode().replace("\0", " ")
    return '"' + clean.replace('"', '""') + '"'


def index_passages(
    connection: sqlite3.Connection, key: int, text: str, passages: Iterable[Passage]
) -> None:
    """Add the passages of document ``key`` to the index."""
    connection.executemany(
        "INSERT INTO passage_text(rowid, text) VALUES (?, ?)",
        ((_rowid(key, passage), _indexed(text, passage)) for passage in passages),
    )


def forget_passages(
    connection: sqlite3.Connection, key: int, text: str, passages: Iterable[Passage]
) -> None:
    """Take them out again. ``text`` must be what was indexed."""
    connection.executemany(
        "INSERT INTO passage_text(passage_text, rowid, text) VALUES ('delete', ?, ?)",
        ((_rowid(key, passage), _indexed(text, passage)) for passage in passages),
    )


def settle(connection: sqlite3.Connection) -> None:
    """Merge the index into one piece: until then it still holds the words it has forgotten."""
    connection.execute("INSERT INTO passage_text(passage_text) VALUES ('optimize')")


def clear(connection: sqlite3.Connection) -> None:
    """Empty the index."""
    connection.execute("INSERT INTO passage_text(passage_text) VALUES ('delete-all')")


def search(
    connection: sqlite3.Connection, match: str, doc_ids: Sequence[str] | None, limit: int
) -> list[PassageHit]:
    """Return the ``limit`` best passages for an FTS5 expression, best first.

    Raises:
        UsageError: ``match`` is not an FTS5 expression.
    """
    chosen = "" if doc_ids is None else "AND d.id IN (SELECT value FROM json_each(:ids))"
    query = f"""SELECT d.id, f.rowid & :mask, -bm25(passage_text) AS score
        FROM passage_text AS f JOIN documents AS d ON d.key = f.rowid >> :bits
        WHERE f.passage_text MATCH :match {chosen}
        ORDER BY score DESC, d.id, f.rowid LIMIT :limit"""
    values: dict[str, str | int] = {
        "mask": MAX_PASSAGES - 1,
        "bits": ORDINAL_BITS,
        "match": match,
        "ids": json.dumps(list(doc_ids or ())),
        "limit": limit,
    }
    return [PassageHit(*row) for row in _matching(connection, query, values)]


def count(connection: sqlite3.Connection, match: str) -> dict[str, int]:
    """Return how many passages match in each document that has any, by document id.

    Raises:
        UsageError: ``match`` is not an FTS5 expression.
    """
    query = """SELECT d.id, found.passages
        FROM (SELECT rowid >> :bits AS key, count(*) AS passages FROM passage_text
              WHERE passage_text MATCH :match GROUP BY 1) AS found
        JOIN documents AS d ON d.key = found.key"""
    return dict(_matching(connection, query, {"bits": ORDINAL_BITS, "match": match}))


def _matching(
    connection: sqlite3.Connection, query: str, values: Mapping[str, str | int]
) -> list[Any]:
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        if any(sign in str(error) for sign in _SYNTAX_ERRORS):
            message = f"not a full-text expression: {values['match']!r} ({error})"
            raise UsageError(message) from error
        raise


def _rowid(key: int, passage: Passage) -> int:
    return key << ORDINAL_BITS | passage.ordinal


def _indexed(text: str, passage: Passage) -> str:
    # SQLite takes no lone surrogates; the stored text keeps them.
    return with_ngrams(text[passage.start : passage.end]).encode("utf-8", "replace").decode()
