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


Named = dict[str, list[DocumentRecord]]


class Names:
    """The names of some documents, to be looked up: a shell may give thousands of them.

    Args:
        documents: in the order in which they are returned.
    """

    def __init__(self, documents: Sequence[DocumentRecord]) -> None:
        self._documents = documents
        self._ids = self._by(lambda one: one.id)
        self._places = self._by(lambda one: one.source if one.source == "-" else one.place)
        self._sources = self._by(lambda one: one.source)
        self._files = self._by(lambda one: PurePath(one.source).name)
        self._titles = self._by(lambda one: one.title.casefold())

    def _by(self, name: Callable[[DocumentRecord], str]) -> Named:
        found: Named = {}
        for document in self._documents:
            found.setdefault(name(document), []).append(document)
        return found

    def select(self, selector: str, *, one: bool = False) -> list[DocumentRecord]:
        """Return the documents that ``selector`` names.

        An exact id, path, file name or title goes before a prefix of an id, and that before a
        glob, so that what was meant exactly is never widened.

        Raises:
            NoStoreError: nothing matches.
            UsageError: ``one`` is asked for and several match, or the selector is empty.
        """
        if not selector.strip():
            raise UsageError("a document is named by its id, path, title or a glob, not by nothing")
        found = self._exactly(selector) or self._where(_id_prefix, selector)
        found = found or self._where(_glob, selector)
        if not found:
            parts = self._where(_glob, f"*{selector}*")
            hint = f"{f'*{selector}*'!r} does" if parts else "see `sharedcli list`"
            raise NoStoreError(
                f"no document matches {selector!r}; {_listed(parts or self._documents)}; {hint}"
            )
        if one and len(found) > 1:
            raise UsageError(
                f"{len(found)} documents match {selector!r}; {_listed(found)}; name one by its id"
            )
        return found

    def _exactly(self, selector: str) -> list[DocumentRecord]:
        path = selector if "\0" in selector or selector == "-" else absolute_path(selector)
        return (
            self._ids.get(selector.lower())
            or self._places.get(path)
            or self._sources.get(selector)
            or self._files.get(selector)
            or self._titles.get(selector.casefold())
            or []
        )

    def _where(
        self, rule: Callable[[DocumentRecord, str], bool], selector: str
    ) -> list[DocumentRecord]:
        return [document for document in self._documents if rule(document, selector)]


def _id_prefix(document: DocumentRecord, selector: str) -> bool:
    return len(selector) >= _ID_PREFIX and document.id.startswith(selector.lower())


def _glob(document: DocumentRecord, selector: str) -> bool:
    # fnmatch's "*" crosses "/", which suits "reports/*" meaning everything below reports.
    name = PurePath(document.source).name
    candidates = (document.source, document.place, name, document.title)
    return any(fnmatchcase(candidate, selector) for candidate in candidates)


def _listed(documents: Sequence[DocumentRecord]) -> str:
    if not documents:
        return "the store is empty"
    names = ", ".join(f"{item.id} ({item.source})" for item in documents[:_SHOWN])
    more = f" and {len(documents) - _SHOWN} more" if len(documents) > _SHOWN else ""
    return f"there is {names}{more}"
