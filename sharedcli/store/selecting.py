"""From what a user types to documents: id, path, file name, title, or a glob over these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath

from sharedcli.errors import NoStoreError, UsageError
from sharedcli.ingest.sanitise import absolute_path
from sharedcli.store.records import DocumentRecord

_SHOWN = 5
_ID_PREFIX = 4


def select(
    documents: Sequence[DocumentRecord], selector: str, *, one: bool = False
) -> list[DocumentRecord]:
    """Return the documents that ``selector`` names, in the order given.

    An exact id, path, file name or title goes before a prefix of an id, and that before a glob, so
    that what was meant exactly is never widened.

    Raises:
        NoStoreError: nothing matches.
        UsageError: ``one`` is asked for and several match, or the selector is empty.
    """
    if not selector.strip():
        raise UsageError("a document is named by its id, path, title or a glob, not by nothing")
    found: list[DocumentRecord] = []
    for rule in _RULES:
        if found := [document for document in documents if rule(document, selector)]:
            break
    if not found:
        parts = [document for document in documents if _glob(document, f"*{selector}*")]
        hint = f"{f'*{selector}*'!r} does" if parts else "see `sharedcli list`"
        raise NoStoreError(
            f"no document matches {selector!r}; {_listed(parts or documents)}; {hint}"
        )
    if one and len(found) > 1:
        raise UsageError(
            f"{len(found)} documents match {selector!r}; {_listed(found)}; name one by its id"
        )
    return found


def _same_path(document: DocumentRecord, selector: str) -> bool:
    if "\0" in selector or document.source == "-":
        return selector == document.source
    return document.place == absolute_path(selector)


def _same_title(document: DocumentRecord, selector: str) -> bool:
    return document.title.casefold() == selector.casefold()


def _id_prefix(document: DocumentRecord, selector: str) -> bool:
    return len(selector) >= _ID_PREFIX and document.id.startswith(selector.lower())


def _glob(document: DocumentRecord, selector: str) -> bool:
    # fnmatch's "*" crosses "/", which suits "reports/*" meaning everything below reports.
    name = PurePath(document.source).name
    candidates = (document.source, document.place, name, document.title)
    return any(fnmatchcase(candidate, selector) for candidate in candidates)


_RULES: tuple[Callable[[DocumentRecord, str], bool], ...] = (
    lambda document, selector: document.id == selector.lower(),
    _same_path,
    lambda document, selector: document.source == selector,
    lambda document, selector: PurePath(document.source).name == selector,
    _same_title,
    _id_prefix,
    _glob,
)


def _listed(documents: Sequence[DocumentRecord]) -> str:
    if not documents:
        return "the store is empty"
    names = ", ".join(f"{item.id} ({item.source})" for item in documents[:_SHOWN])
    more = f" and {len(documents) - _SHOWN} more" if len(documents) > _SHOWN else ""
    return f"there is {names}{more}"
