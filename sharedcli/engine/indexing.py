"""Index files: read, cut, compress, store; one commit per document.

    file -> ingest -> Document -> tree -> Compressor -> slots -> store

A file that cannot be read is told and passed over; an interrupted run leaves every finished
document in the store, and the same command goes on from there. The model is loaded when the first
file needs it: a run that finds nothing new loads none, because who makes the trees is remembered
(``engine/remembered.py``). What became of each file is ``engine/syncing.py``, of those that
are gone ``engine/following.py``. Short files are prepared ahead (``engine/ahead.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sharedcli.engine.ahead import ReadAhead
from sharedcli.engine.cutting import cut
from sharedcli.engine.events import COUNTED, IndexCounts, IndexEvent, OnProgress
from sharedcli.engine.failures import Failures
from sharedcli.engine.filters import Filters, find
from sharedcli.engine.following import follow
from sharedcli.engine.peak import peak_bytes
from sharedcli.engine.remembered import Rates, remember_rates
from sharedcli.engine.syncing import Comparison, keeps_imported, new_title
from sharedcli.errors import (
    DocumentError,
    NoStoreError,
    NoTextError,
    SharedCLIError,
    UnreadableError,
)
from sharedcli.ingest.discover import STDIN, FoundFile
from sharedcli.ingest.document import Document
from sharedcli.store.identity import RECOMPUTE, TreeIdentity
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree

if TYPE_CHECKING:
    from sharedcli.engine.compressing import Computing
    from sharedcli.engine.loading import LoadedModel
    from sharedcli.engine.threads import WorkerThreads
    from sharedcli.retrieve.embedding import SentenceEncoder
    from sharedcli.settings import Settings


_SLOW_BYTES = 1_000_000  # a file of which the models are loaded while it is read
_SMALL_BYTES = 1_000_000  # files that are read ahead together
_WINDOW = 32  # files among which these are looked for


@dataclass
class _Work:
    """What went into the documents of a run, without loading models: for later estimates."""

    seconds: float = 0.0
    characters: int = 0
    longest: int = 0


class Indexer:
    """Indexes files into one store.

    Args:
        store: open for writing.
        settings: geometry, slot format.
        model: called when the first file needs the model.
        encoder: called when the first file needs the sentence encoder; None if there is none.
        identity: who makes the trees; may be remembered before the model is loaded.
        on_progress: told pages read and passages encoded.
        preload: loads the models, may be called in another thread; None if that may take long or
            ask for something.
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
        preload: Callable[[], object] | None = None,
    ) -> None:
        self._store = store
        self._preload = preload
        self._settings = settings
        self._model = model
        self._encoder = encoder
        self._identity = identity
        self._on_progress = on_progress or (lambda _stage, _done, _total: None)
        self._failures = Failures(store)
        self._counts = IndexCounts()
        self._work = _Work()
        self._touched: dict[str, tuple[int, int]] = {}
        self._known: list[str] = []
        self._seen_ahead: set[str] = set()
        self._assumed: TreeIdentity | None = None
        self._open = ExitStack()
        self._pool: WorkerThreads | None = None

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
        comparison = Comparison(self._store, self._known_identity, force=force)
        ahead: ReadAhead[Computing]
        with ExitStack() as self._open, ReadAhead(lambda work: work.close()) as ahead:
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
        self._remember_rates()
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
        known, mtime_ns = verdict.record, comparison.trusted_mtime_ns(found)
        if known:
            self._known.append(found.source)
        if known and verdict.kind in ("unchanged", "touched", "renamed"):
            self._failures.well(found)
        if known and verdict.kind in ("unchanged", "touched"):
            if not known.path:  # it was imported, and here is its file
                known = self._renamed(known, found, mtime_ns).record or known
            elif (known.file_size, known.mtime_ns) != (found.size, mtime_ns) and mtime_ns:
                self._touched[known.id] = (found.size, mtime_ns)
            yield IndexEvent("unchanged", found.source, record=known)
            return
        if known and verdict.kind == "renamed":
            yield self._renamed(known, found, mtime_ns)
            return
        if verdict.kind == "imported":
            yield self._failed(found, keeps_imported(found.source))
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
        if known and known.source != found.source:  # or the tree would stay under the other path
            with suppress(NoStoreError):  # another run has replaced it by now
                self._renamed(known, found, 0)
        yield IndexEvent("loading", found.source)
        waited = time.monotonic()
        self._model(), self._encoder()  # what is wrong with these concerns no file
        started += time.monotonic() - waited
        try:
            work = self._prepared(read) if isinstance(read, Document) else read
        except NoTextError as error:
            yield self._failed(found, str(error))
            return
        self._look_ahead(ahead, comparison, following)
        file = replace(found, mtime_ns=mtime_ns)
        yield from self._index(work, file, known, started)

    def _prepared(self, document: Document) -> Computing:
        """A document that was cut; if it is short, threads without work have begun with it."""
        from sharedcli.engine.compressing import Computing

        model, slot_format = self._model(), self._settings.slot_format
        work = cut(document, model.base.tokenizer)
        tree = ContextTree(len(work.token_ids), model.geometry(self._settings))
        if not tree.tokens:
            raise NoTextError(f"{document.source}: there is no text in it")
        computing = Computing(
            work,
            tree,
            threads=self._threads(),
            # without slots nothing is compressed, and no layers need to be laid out
            compressor=model.opener if slot_format == RECOMPUTE else model.indexer,
            encoder=self._encoder(),
            slot_format=slot_format,
        )
        if computing.is_short:
            computing.begin()
        return computing

    def _look_ahead(
        self, ahead: ReadAhead[Computing], comparison: Comparison, following: Sequence[FoundFile]
    ) -> None:
        """Begin with the next file, and with more while they are small and threads have no work."""
        for one in following:
            files, size = ahead.begun
            if files and (files >= self._threads().count or size + one.size > _SMALL_BYTES):
                return
            if one.source in self._seen_ahead or one.problem is not None or one.source == STDIN:
                continue
            self._seen_ahead.add(one.source)
            if comparison.of(one).kind in ("new", "changed"):  # asked again when its turn comes
                ahead.begin(one.path, one.size, self._prepared)

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

    def _known_identity(self) -> TreeIdentity:
        if self._assumed is None:
            self._assumed = self._identity()
        return self._assumed

    def _real_identity(self) -> TreeIdentity:
        """Who makes the trees, after the model was loaded."""
        identity = self._identity()
        if self._assumed is not None and self._assumed.digest != identity.digest:
            self._assumed = None
            raise SharedCLIError(
                "the files of the model or adapter changed while documents were compared with "
                "the store; run the same command again"
            )
        return identity

    def _remember_rates(self) -> None:
        counts, work = self._counts, self._work
        if counts.tokens and work.seconds > 0:
            rates = Rates(
                counts.tokens / work.seconds,
                counts.stored_bytes / counts.tokens,
                work.characters / counts.tokens,
                peak_bytes() or 0,
                work.longest,
            )
            remember_rates(self._settings, self._identity(), rates)

    def _index(
        self, work: Computing, found: FoundFile, known: DocumentRecord | None, started: float
    ) -> Iterator[IndexEvent]:
        document, tokens = work.cut.document, work.tree.tokens
        identity = self._real_identity()
        loaded = time.monotonic()
        writer = self._store.writer(
            document,
            identity,
            file_size=found.size,
            mtime_ns=found.mtime_ns,
            path=found.place,
        )
        try:
            with closing(work), writer:
                for done in work.write(writer, partial(self._on_progress, "passages")):
                    yield IndexEvent("compressing", document.source, done, tokens)
                record = writer.commit()
        except UnreadableError as error:
            yield self._failed(found, str(error))
            return
        self._work.seconds += time.monotonic() - loaded
        self._work.characters += len(document.text)
        self._work.longest = max(self._work.longest, tokens)
        yield IndexEvent(
            "indexed",
            document.source,
            record=record,
            changed=known is not None,
            warnings=document.warnings,
            seconds=time.monotonic() - started,
        )

    def _threads(self) -> WorkerThreads:
        if self._pool is None:
            from sharedcli.engine.threads import WorkerThreads

            model = self._model()
            on_cpu = model.base.device.type == "cpu"
            self._pool = self._open.enter_context(WorkerThreads(on_cpu and model.merges))
        return self._pool

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
