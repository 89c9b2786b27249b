"""Index files: read, cut, compress, store; one commit per document.

    file -> ingest -> Document -> tree -> Compressor -> slots -> store

A file that cannot be read is told and passed over; an interrupted run leaves every finished
document in the store, and the same command goes on from there. The model is loaded when the first
file needs it: a run that finds nothing new loads none, because who makes the trees is remembered
(``engine/remembered.py``). What became of each file is ``engine/syncing.py``, of those that are
gone ``engine/following.py``; trees are made by ``engine/tree_maker.py``. Short files are prepared
ahead (``engine/ahead.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sharedcli.engine.ahead import ReadAhead
from sharedcli.engine.events import COUNTED, IndexCounts, IndexEvent, OnProgress
from sharedcli.engine.failures import Failures
from sharedcli.engine.filters import Filters, find
from sharedcli.engine.following import follow
from sharedcli.engine.syncing import Comparison, Verdict, keeps_imported, new_title
from sharedcli.engine.tree_maker import TreeMaker
from sharedcli.errors import DocumentError, NoStoreError, NoTextError, UnreadableError
from sharedcli.ingest.discover import STDIN, FoundFile
from sharedcli.ingest.document import Document
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store

if TYPE_CHECKING:
    from sharedcli.engine.compressing import Computing

_SLOW_BYTES = 1_000_000  # a file of which the models are loaded while it is read
_SMALL_BYTES = 1_000_000  # files that are read ahead together
_WINDOW = 32  # files among which these are looked for


class Indexer:
    """Indexes files into one store.

    Args:
        store: open for writing.
        trees: makes them in that store.
        on_progress: told pages read.
        preload: loads the models, may be called in another thread; None if that may take long or
            ask for something.
    """

    def __init__(
        self,
        store: Store,
        trees: TreeMaker,
        *,
        on_progress: OnProgress | None = None,
        preload: Callable[[], object] | None = None,
    ) -> None:
        self._store = store
        self._preload = preload
        self._on_progress = on_progress or (lambda _stage, _done, _total: None)
        self._trees = trees
        self._failures = Failures(store)
        self._counts = IndexCounts()
        self._touched: dict[str, tuple[int, int]] = {}
        self._known: list[str] = []
        self._seen_ahead: set[str] = set()

    def run(
        self,
        paths: Sequence[str],
        *,
        force: bool = False,
        prune: bool = False,
        filters: Filters | None = None,
    ) -> Iterator[IndexEvent]:
        """Index files and follow folders; yields events, the first "found", the last "done".

        Raises whatever concerns the whole run: a locked store, a missing model, a full disk.
        """
        comparison = Comparison(self._store, self._trees.known_identity, force=force)
        ahead: ReadAhead[Computing]
        with self._trees, ReadAhead(lambda work: work.close()) as ahead:
            files = find(paths, filters)
            yield IndexEvent("found", total=len(files))
            for number, found in enumerate(files, 1):
                following = files[number : number + _WINDOW]
                for event in self._file(ahead, comparison, found, following):
                    self._count(event)
                    yield event
        self._store.touch(self._touched)
        for event in follow(self._store, paths, files, self._known, prune=prune):
            self._count(event)
            yield event
        self._trees.remember_rates()
        yield IndexEvent("done", counts=self._counts)

    def _file(
        self,
        ahead: ReadAhead[Computing],
        comparison: Comparison,
        found: FoundFile,
        following: Sequence[FoundFile],
    ) -> Iterator[IndexEvent]:
        started = time.monotonic()
        if found.problem is not None:
            if found.named:
                yield self._failed(found, f"{found.source}: {found.problem}")
            else:
                yield IndexEvent("skipped", found.source, reason=found.problem)
            return
        verdict = comparison.of(found)
        file = replace(found, mtime_ns=comparison.trusted_mtime_ns(found))
        if verdict.record:
            self._known.append(found.source)
        if (settled := self._settled(verdict, found, file.mtime_ns)) is not None:
            yield settled
            return
        yield IndexEvent("reading", found.source)
        slow = found.size >= _SLOW_BYTES and not self._failures.has(found)
        if slow and self._preload is not None:
            ahead.aside(self._preload)
            self._preload = None
        try:
            read = ahead.read(found.path, partial(self._on_progress, "pages"))
        except DocumentError as error:
            yield self._failed(found, str(error))
            return
        known = verdict.record
        if known and known.source != found.source:  # or the tree would stay under the other path
            with suppress(NoStoreError):  # another run has replaced it by now
                self._renamed(known, found, 0)
        yield IndexEvent("loading", found.source)
        waited = time.monotonic()
        self._trees.load()
        started += time.monotonic() - waited
        try:
            work = self._trees.prepared(read) if isinstance(read, Document) else read
        except NoTextError as error:
            yield self._failed(found, str(error))
            return
        self._look_ahead(ahead, comparison, following)
        yield from self._index(work, file, known, started)

    def _settled(self, verdict: Verdict, found: FoundFile, mtime_ns: int) -> IndexEvent | None:
        """What became of a file that need not be indexed; None if it must be."""
        known = verdict.record
        if known is None or verdict.kind == "changed":
            return None
        if verdict.kind == "imported":
            return self._failed(found, keeps_imported(found.source))
        self._failures.well(found)
        if verdict.kind == "renamed":
            return self._renamed(known, found, mtime_ns)
        if not known.path:  # it was imported, and here is its file
            known = self._renamed(known, found, mtime_ns).record
        elif (known.file_size, known.mtime_ns) != (found.size, mtime_ns) and mtime_ns:
            self._touched[known.id] = (found.size, mtime_ns)
        return IndexEvent("unchanged", found.source, record=known)

    def _look_ahead(
        self, ahead: ReadAhead[Computing], comparison: Comparison, following: Sequence[FoundFile]
    ) -> None:
        """Begin with the next file, and with more while they are small and threads have no work."""
        for one in following:
            files, size = ahead.begun
            if files and (files >= self._trees.threads().count or size + one.size > _SMALL_BYTES):
                return
            if one.source in self._seen_ahead or one.problem is not None or one.source == STDIN:
                continue
            self._seen_ahead.add(one.source)
            if comparison.of(one).kind in ("new", "changed"):  # asked again when its turn comes
                ahead.begin(one.path, one.size, self._trees.prepared)

    def _renamed(self, known: DocumentRecord, found: FoundFile, mtime_ns: int) -> IndexEvent:
        source = found.source
        record = self._store.relocate(
            known.id,
            source=source,
            title=new_title(known, source),
            file_size=found.size,
            mtime_ns=mtime_ns,
        )
        return IndexEvent("renamed", source, record=record, previous=known.source)

    def _index(
        self, work: Computing, found: FoundFile, known: DocumentRecord | None, started: float
    ) -> Iterator[IndexEvent]:
        document, record = work.cut.document, None
        try:
            with closing(self._trees.write(work, found)) as steps:
                for done in steps:
                    if isinstance(done, DocumentRecord):
                        record = done
                    else:
                        yield IndexEvent("compressing", document.source, done, work.tree.tokens)
        except UnreadableError as error:
            yield self._failed(found, str(error))
            return
        yield IndexEvent(
            "indexed",
            document.source,
            record=record,
            changed=known is not None,
            warnings=document.warnings,
            seconds=time.monotonic() - started,
        )

    def _failed(self, found: FoundFile, reason: str) -> IndexEvent:
        self._failures.note(found, reason)
        seen = (found.size, found.mtime_ns)
        return IndexEvent("failed", found.source, reason=reason, seen=seen)

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
        elif event.kind in COUNTED:
            self._counts = replace(counts, **{event.kind: getattr(counts, event.kind) + 1})
