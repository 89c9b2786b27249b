"""What documents are called where several are quoted side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath

from sharedcli.ingest.document import Document


def distinct_names(documents: Mapping[str, Document], places: Mapping[str, str]) -> dict[str, str]:
    """Return a name for each document: its title, its file's name or its path.

    The first of these that no other document has: yearly reports often share a title, and a prompt
    that called both by it would not tell the years apart.

    Args:
        documents: by id.
        places: where their files are, by id: a relative path may be that of two files.
    """
    return first_distinct(
        {key: document.title for key, document in documents.items()},
        {key: PurePath(document.source).name for key, document in documents.items()},
        {key: document.source for key, document in documents.items()},
        {key: places.get(key) or document.source for key, document in documents.items()},
    )


def first_distinct(*choices: Mapping[str, str]) -> dict[str, str]:
    """Return for each key the first of its names that no other key has there, or its last.

    Args:
        choices: names by key, the same keys in each.
    """
    named: dict[str, str] = {}
    for names in choices:
        counts = Counter(names.values())
        for key, name in names.items():
            if counts[name] == 1:
                named.setdefault(key, name)
    return {key: named.get(key, last) for key, last in choices[-1].items()}
