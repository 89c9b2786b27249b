"""``import``: a document's tree from a file that anybody may have made.

Notable choices:
- Nothing in the file is believed: members are verified (``archive.py``); text goes through the
  sanitiser and must come out unchanged; geometry, spans, shapes, formats and values are checked;
  rows and seals of the store are made anew by its own writer.
- The document is published by one transaction, at the end: a bad file changes nothing.

What cannot be checked is whether the tensors were made from the text: a tree is evidence from
whoever made it.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from sharedcli.errors import CorruptionError, UsageError
from sharedcli.ingest.document import Document, Page
from sharedcli.ingest.limits import Limits
from sharedcli.ingest.sanitise import sanitise
from sharedcli.store import portable
from sharedcli.store.archive import Archive, checked
from sharedcli.store.digests import is_sha256
from sharedcli.store.fulltext import MAX_PASSAGES
from sharedcli.store.identity import RECOMPUTE, TREE_FORMAT_VERSION, TreeIdentity
from sharedcli.store.quantize import Encoded, code_shapes
from sharedcli.store.records import DocumentRecord, Passage
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.writer import SUMMARIES
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import Levels, SlotChoice, TreeGeometry

if TYPE_CHECKING:
    from sharedcli.store.store import Store

_LABEL_CHARS = 1000
_PATH_CHARS = 10_000
_DEPTH = 10
_LIMITS = Limits()


def import_file(store: Store, path: Path, *, replace: bool) -> DocumentRecord:
    """Store the document of ``path``; see ``Store.import_file``."""
    with Archive(path) as archive, checked(path):
        manifest = archive.manifest
        identity = _identity(manifest["identity"])
        document = _document(manifest["document"], archive.read(portable.TEXT))
        known = store.find(document.source)
        if known and not replace:
            same = (known.document_sha256, known.identity) == (document.sha256, identity.digest)
            if same:
                return known
            raise UsageError(
                f"there is another document from {document.source} in the store; give --force to "
                "put this one in its place"
            )
        tree = ContextTree(_natural(manifest["tokens"]), _geometry(identity))
        if tree.chunks != manifest["chunks"] or not tree.chunks:
            raise CorruptionError(f"{tree.chunks} chunks were expected")
        head = manifest["document"]
        size, mtime_ns = _natural(head["file_size"]), _time(head["mtime_ns"])
        with store.writer(document, identity, file_size=size, mtime_ns=mtime_ns) as writer:
            spans, vectors = _passages(archive.tensors(portable.PASSAGES), document)
            writer.put_passages(spans, vectors)
            reader = _Chunks(tree, identity, _natural(manifest["slot_size"]))
            for index in range(tree.chunks):
                found = archive.tensors(portable.chunk_member(index))
                writer.put_encoded(index, reader.tokens(index, found), reader.slots(index, found))
            return writer.commit()


def _identity(values: Any) -> TreeIdentity:
    identity = TreeIdentity(**values)
    if identity.format_version != TREE_FORMAT_VERSION:
        raise CorruptionError(f"its tensors have format version {identity.format_version}")
    for field in fields(identity):
        if field.type == "str":
            _line(getattr(identity, field.name), _PATH_CHARS)
    _geometry(identity)
    _natural(identity.injected_layers)
    return identity


def _geometry(identity: TreeIdentity) -> TreeGeometry:
    values = dict(identity.geometry)
    if _natural(values.get("depth")) > _DEPTH:  # first: sizes grow with two to its power
        raise CorruptionError("its geometry is none")
    for value in values.values():
        if not isinstance(value, str):
            _natural(value)
    try:
        geometry = TreeGeometry(**values)  # type: ignore[arg-type]
    except UsageError as error:
        raise CorruptionError(str(error)) from None
    except TypeError:  # a name that no geometry has, or words for a number
        raise CorruptionError("its geometry is none") from None
    known = geometry.levels in get_args(Levels) and geometry.slot_choice in get_args(SlotChoice)
    if geometry.to_dict() != values or not known:
        raise CorruptionError("its geometry is none")
    return geometry


def _document(values: dict[str, Any], data: bytes) -> Document:
    text = data.decode("utf-8")
    if len(text) > _LIMITS.text_chars or sanitise(text) != text:
        raise CorruptionError("its text is too long or holds control characters")
    pages = tuple(Page(*page) for page in values["pages"])
    at = number = 0
    for page in pages:
        follows = _natural(page.number) > number and _natural(page.start) == at
        if not follows or not at <= _natural(page.end) <= len(text):
            raise CorruptionError(f"the page after page {number} does not fit the text")
        if page.label is not None:
            _line(page.label)
        at, number = page.end, page.number
    if at != len(text) or not pages or len(pages) > _LIMITS.pages:
        raise CorruptionError("its pages do not cover the text")
    if not is_sha256(values["sha256"]) or not isinstance(values["paged"], bool):
        raise CorruptionError("its record is not one")
    return Document(
        source=_line(values["source"], _PATH_CHARS),
        title=_line(values["title"]),
        media_type=_line(values["media_type"]),
        sha256=values["sha256"],
        text=text,
        pages=pages,
        paged=values["paged"],
        warnings=tuple(_line(warning) for warning in values["warnings"]),
    )


def _passages(found: dict[str, Tensor], document: Document) -> tuple[list[Passage], Any]:
    spans, vectors = found[portable.SPANS], found[portable.VECTORS]
    if spans.dtype != torch.int32 or spans.ndim != 2 or len(spans) > MAX_PASSAGES:
        raise CorruptionError("its passages are none")
    if vectors.dtype != torch.float16 or vectors.shape[:-1] != (len(spans),):
        raise CorruptionError("its passage vectors are none")
    passages = [Passage(i, *span) for i, span in enumerate(spans.tolist())]
    numbers = {page.number for page in document.pages}
    if any(passage.page not in numbers for passage in passages):
        raise CorruptionError("a passage is on no page")
    return passages, vectors.numpy() if vectors.shape[-1] else None


class _Chunks:
    """Checks chunk by chunk that tokens and slots are those of the tree."""

    def __init__(self, tree: ContextTree, identity: TreeIdentity, slot_size: int) -> None:
        self._tree = tree
        self._format = identity.slot_format
        self._layers = identity.injected_layers
        self._slot_size = slot_size
        self._heads: int | None = None
        self._summary_size: int | None = None
        deepest = tree.geometry.deepest_stored
        nested = tree.geometry.levels == "nested"
        self._levels = [deepest] if nested else list(range(1, deepest + 1))
        if identity.slot_format == RECOMPUTE:
            self._levels = []

    def tokens(self, index: int, found: dict[str, Tensor]) -> ChunkTokens:
        """The chunk's tokens."""
        root = self._tree.root(index)
        ids, spans = found.pop(portable.TOKEN_IDS), found.pop(portable.CHAR_SPANS)
        if ids.dtype != torch.int32 or spans.dtype != torch.int32 or len(ids) != root.tokens:
            raise CorruptionError(f"the tokens of chunk {index} are none")
        if int(ids.min()) < 0:
            raise CorruptionError(f"the tokens of chunk {index} are none")
        return ChunkTokens(root.start, ids.numpy(), spans.numpy())

    def slots(self, index: int, found: dict[str, Tensor]) -> dict[str, Encoded]:
        """The chunk's tensors; every one that is needed and no other."""
        encoded: dict[str, Encoded] = {}
        if SUMMARIES in found:
            nodes = sum(1 for _ in self._tree.stored_nodes(index))
            codes = found.pop(SUMMARIES)
            self._summary_size = self._summary_size or codes.shape[-1]
            shape = (nodes, self._summary_size)
            encoded[SUMMARIES] = self._one(Encoded("float16", shape, codes))
        for level in self._levels:
            count = sum(self._tree.slots(node) for node in self._tree.level(index, level))
            for kind in ("keys", "values"):
                name = f"level{level}.{kind}"
                codes = found.pop(portable.SLOTS + name)
                self._heads = self._heads or codes.shape[1]
                full = (self._layers, self._heads, count, self._slot_size)
                scales = found.pop(portable.SCALES + name, None)
                encoded[name] = self._one(Encoded(self._format, full, codes, scales))
        if found:
            raise CorruptionError(f"chunk {index} has a tensor {min(found)!r} that is not needed")
        return encoded

    @staticmethod
    def _one(encoded: Encoded) -> Encoded:
        codes, scales = code_shapes(encoded.format, encoded.shape)
        parts = [(encoded.codes, codes), (encoded.scales, scales)]
        for tensor, expected in parts:
            if (tensor is None) != (expected is None):
                raise CorruptionError("a tensor has or lacks scales")
            if tensor is None or expected is None:
                continue
            if (tensor.dtype, tuple(tensor.shape)) != expected:
                raise CorruptionError(f"a tensor is {tensor.dtype} {tuple(tensor.shape)}")
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise CorruptionError("a tensor holds what is no number")
        return encoded


def _line(value: Any, limit: int = _LABEL_CHARS) -> str:
    if not isinstance(value, str) or len(value) > limit or sanitise(value) != value:
        raise CorruptionError("its record holds what is no clean line of text")
    if "\n" in value or "\t" in value:
        raise CorruptionError("its record holds line breaks")
    return value


def _time(value: Any) -> int:
    """Nanoseconds since 1970, or before."""
    return -_natural(-value) if type(value) is int and value < 0 else _natural(value)


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise CorruptionError(f"{str(value)[:40]} is no natural number")
    return value
