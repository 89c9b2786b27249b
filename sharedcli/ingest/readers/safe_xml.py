"""XML without its dangers: no entities of the document's own, nothing fetched, nothing recursive.

Expat is driven directly, since it is the one parser of the standard library that reads in pieces
and leaves the memory to us. An internal document type (where entity bombs live) is refused. A mere
reference to an external one is harmless: expat does not fetch it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol
from xml.parsers import expat

from sharedcli.errors import UnreadableError


class XmlHandler(Protocol):
    """Receives the events of a document; names come without prefix or namespace."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """Character data, possibly a part of it."""


def parse_xml(chunks: Iterable[bytes], handler: XmlHandler) -> Iterator[None]:
    """Feed a document to ``handler``; yields after each chunk so that results can be taken.

    Raises:
        UnreadableError: not well-formed, in an unknown encoding, or with an internal document
            type.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        handler.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        handler.end(_local(name))

    def refuse_doctype(_name: str, _system: object, _public: object, internal: int) -> None:
        if internal:
            raise UnreadableError("holds XML with a document type of its own, which is not read")

    def refuse_entity(*_: object) -> None:
        raise UnreadableError("holds XML with entities of its own, which are not read")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.EntityDeclHandler = refuse_entity
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)
    except (LookupError, ValueError):  # of Python's codecs, which expat asks for help
        raise UnreadableError("holds XML in an encoding that is not known; save it again") from None
    except expat.ExpatError as error:
        raise UnreadableError(f"holds damaged XML ({error}); save it again") from None
    yield


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


class ElementCollector:
    """A handler for small files: keeps the wanted elements with attributes and own text.

    Attributes:
        found: (name, attributes, text) in document order of their end tags.
    """

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.found: list[tuple[str, dict[str, str], str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name in self._names:
            self._open.append((name, attributes, []))

    def end(self, name: str) -> None:
        """An element ends."""
        if self._open and self._open[-1][0] == name:
            _, attributes, parts = self._open.pop()
            self.found.append((name, attributes, "".join(parts).strip()))

    def text(self, data: str) -> None:
        """Character data."""
        if self._open:
            self._open[-1][2].append(data)


def collect(chunks: Iterable[bytes], *names: str) -> list[tuple[str, dict[str, str], str]]:
    """Return name, attributes and text of all elements called so. Raises as ``parse_xml``."""
    collector = ElementCollector(*names)
    for _ in parse_xml(chunks, collector):
        pass
    return collector.found
