"""Index files: read, cut, compress, store; one commit per document.

    file -> ingest -> Document -> tree -> Compressor -> slots -> store

A file that cannot be read is told and passed over; an interrupted run leaves every finished
document in the store, and the same command goes on from there. The model is loaded when the first
file needs it, so a run that finds nothing new never loads one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sharedcli.engine.events import IndexCounts, IndexEvent, OnProgress
from sharedcli.errors import DocumentError, NoTextError, UnreadableError
from sharedcli.ingest.discover import STDIN, FoundFile, find_files
from sharedcli.ingest.document import Document
from sharedcli.ingest.reader import DocumentReader
from sharedcli.retrieve.passages import cut_passages
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.records import DocumentRecord
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree

if TYPE_CHECKING:
    from torch import Tensor

    from sharedcli.engine.loading import LoadedModel
    from sharedcli.model.compressor import NodeSlots
    from sharedcli.retrieve.embedding import SentenceEncoder
    from sharedcli.settings import Settings

BATCH_TOKENS = 4096
"""Tokens that are compressed at a time: enough to fill the processor, little memory."""


class Indexer:
    """Indexes files into one store.

    Args:
        store: open for writing.
        settings: geometry, slot format.
        model: called when the first file needs the model.
        encoder: called when the first file needs the sentence encoder; None if there is none.
        identity: called after ``model``: who makes the trees.
        on_progress: told pages read and passages encoded.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        model: Callable[[], LoadedModel],
        encoder: Callable[[], SentenceEncoder | None],
        identity: Callable[[], TreeIdentity],
        *,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._model = model
        self._encoder = encoder
        self._identity = identity
        self._on_progress = on_progress or (lambda _stage, _done, _total: None)
        self._counts = IndexCounts()

    def run(self, paths: Sequence[str], *, force: bool = False) -> Iterator[IndexEvent]:
        """Index files and folders; yields events, the first of kind "found", the last "done".

        Raises whatever concerns the whole run: a locked store, a missing model, a full disk.
        """
        with DocumentReader() as reader:
            files = list(find_files(paths))
            yield IndexEvent("found", total=len(files))
            for found in files:
                for event in self._file(reader, found, force):
                    self._count(event)
                    yield event
        yield IndexEvent("done", counts=self._counts)

    def _file(self, reader: DocumentReader, found: FoundFile, force: bool) -> Iterator[IndexEvent]:
        started = time.monotonic()
        if found.problem is not None:
            if found.named:
                yield self._failed(found.source, f"{found.source}: {found.problem}")
            else:
                yield IndexEvent("skipped", found.source, reason=found.problem)
            return
        known = self._store.find(found.source) if found.source != STDIN else None
        if known and not force and self._untouched(known, found):
            yield IndexEvent("unchanged", found.source, record=known)
            return
        yield IndexEvent("reading", found.source)
        try:
            document = reader.read(found.path, on_page=partial(self._on_progress, "pages"))
        except DocumentError as error:
            yield self._failed(found.source, str(error))
            return
        if known and not force and self._same(known, document, found):
            yield IndexEvent("unchanged", found.source, record=known)
            return
        yield from self._index(document, found, known, started)

    def _untouched(self, known: DocumentRecord, found: FoundFile) -> bool:
        return (known.file_size, known.mtime_ns) == (found.size, found.mtime_ns) and (
            known.identity == self._identity().digest
        )

    def _same(self, known: DocumentRecord, document: Document, found: FoundFile) -> bool:
        """The file was touched, but holds what is indexed already."""
        if known.document_sha256 != document.sha256 or known.identity != self._identity().digest:
            return False
        self._store.relocate(known.id, file_size=found.size, mtime_ns=found.mtime_ns)
        return True

    def _index(
        self,
        document: Document,
        found: FoundFile,
        known: DocumentRecord | None,
        started: float,
    ) -> Iterator[IndexEvent]:
        from sharedcli.model.tokens import tokenize_text

        source = document.source
        yield IndexEvent("loading", source)
        model, encoder, identity = self._model(), self._encoder(), self._identity()
        token_ids, char_spans = tokenize_text(model.base.tokenizer, document.text)
        tree = ContextTree(len(token_ids), model.geometry(self._settings))
        if not tree.tokens:
            yield self._failed(source, str(NoTextError(f"{source}: there is no text in it")))
            return
        passages = cut_passages(document)
        writer = self._store.writer(
            document, identity, file_size=found.size, mtime_ns=found.mtime_ns
        )
        try:
            with writer:
                texts = [document.text[passage.start : passage.end] for passage in passages]
                vectors = None
                if encoder and texts:
                    told = partial(self._on_progress, "passages")
                    vectors = encoder.encode_passages(texts, told)
                writer.put_passages(passages, vectors)
                yield IndexEvent("compressing", source, 0, tree.tokens)
                for chunks in _batches(tree):
                    for chunk, slots in zip(
                        chunks, _compress(model, token_ids, tree, chunks), strict=True
                    ):
                        root = tree.root(chunk)
                        ids = token_ids[root.start : root.end]
                        spans = char_spans[root.start : root.end]
                        tensors, summaries = stored_tensors(slots, tree)
                        tokens = ChunkTokens(root.start, ids, spans)
                        writer.put_chunk(chunk, tokens, tensors, summaries)
                    yield IndexEvent("compressing", source, tree.root(chunks[-1]).end, tree.tokens)
                record = writer.commit()
        except UnreadableError as error:
            yield self._failed(source, str(error))
            return
        yield IndexEvent(
            "indexed",
            source,
            record=record,
            changed=known is not None,
            warnings=document.warnings,
            seconds=time.monotonic() - started,
        )

    def _failed(self, source: str, reason: str) -> IndexEvent:
        self._store.record_failure(source, reason)
        return IndexEvent("failed", source, reason=reason)

    def _count(self, event: IndexEvent) -> None:
        counts = self._counts
        if event.kind == "indexed" and event.record is not None:
            kind = "changed" if event.changed else "new"
            self._counts = replace(
                counts,
                tokens=counts.tokens + event.record.tokens,
                seconds=counts.seconds + event.seconds,
                stored_bytes=counts.stored_bytes + event.record.stored_bytes,
                **{kind: getattr(counts, kind) + 1},
            )
        elif event.kind in ("unchanged", "failed", "skipped"):
            self._counts = replace(counts, **{event.kind: getattr(counts, event.kind) + 1})


def _batches(tree: ContextTree) -> Iterator[list[int]]:
    size = max(1, BATCH_TOKENS // tree.geometry.chunk_tokens)
    for first in range(0, tree.chunks, size):
        yield list(range(first, min(first + size, tree.chunks)))


def _compress(
    model: LoadedModel, token_ids: np.ndarray, tree: ContextTree, chunks: Sequence[int]
) -> list[list[NodeSlots]]:
    import torch

    from sharedcli.model.devices import guard_memory

    with guard_memory("compressing"):
        tokens = torch.from_numpy(token_ids.astype(np.int64))
        return model.compressor.compress_chunks(tokens, tree, chunks)


def stored_tensors(
    slots: Sequence[NodeSlots], tree: ContextTree
) -> tuple[dict[str, Tensor], Tensor]:
    """Group a chunk's slots by level: ``level<w>.keys`` and ``level<w>.values`` [M, K, S, D].

    With nested levels only the deepest is kept: the others are derived from it. The summaries of
    all nodes [N, E] are in tree order.
    """
    import torch

    depth = tree.geometry.depth
    levels = [depth] if tree.geometry.levels == "nested" else range(1, depth + 1)
    tensors: dict[str, Tensor] = {}
    for level in levels:
        nodes = [one for one in slots if one.node.level == level]
        tensors[f"level{level}.keys"] = torch.cat([one.keys for one in nodes], dim=2)
        tensors[f"level{level}.values"] = torch.cat([one.values for one in nodes], dim=2)
    return tensors, torch.stack([one.summary.float() for one in slots])
