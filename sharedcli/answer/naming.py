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
    named: dict[str, str] = {}
    for names in (
        {key: document.title for key, document in documents.items()},
        {key: PurePath(document.source).name for key, document in documents.items()},
        {key: document.source for key, document in documents.items()},
        {key: places.get(key, "") for key in documents},
    ):
        counts = Counter(names.values())
        for key, name in names.items():
            if counts[name] == 1:
                named.setdefault(key, name)
    return {key: named.get(key, document.source) for key, document in documents.items()}
