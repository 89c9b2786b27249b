"""``Engine``: the one object that programs and the command line hold.

    engine = Engine(load_settings({"store": "trees"}))
    for event in engine.index(["report.pdf"]):
        ...
    answer = engine.ask("What were the net sales?")
    for piece in answer:
        print(piece, end="")
    print(answer.sources)

Model, sentence encoder and store are opened when first needed and kept for the next call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from sharedcli.engine.events import IndexEvent, OnProgress
from sharedcli.engine.filters import Filters
from sharedcli.engine.remembered import Fingerprint, fingerprint, recall, remember
from sharedcli.errors import ModelMissingError, NoStoreError
from sharedcli.ingest.sanitise import sanitise
from sharedcli.settings import Settings, load_settings
from sharedcli.store.identity import NO_ENCODER
from sharedcli.store.records import DocumentRecord
from sharedcli.store.selecting import Names
from sharedcli.store.store import Store

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer
    from sharedcli.engine.loading import LoadedModel
    from sharedcli.model.fetch import OnStep
    from sharedcli.retrieve.embedding import SentenceEncoder
    from sharedcli.retrieve.search import ChunkFrontier
    from sharedcli.store.identity import TreeIdentity


class Engine:
    """Index documents and ask about them. A context manager; not for several threads at once.

    Args:
        settings: where and how; the user's own if None.
        on_step: told the steps of fetching models.
        on_note: told sentences for the user, such as that the sentence encoder is missing.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_step: OnStep | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        self._on_step = on_step
        self._on_note = on_note or (lambda _note: None)
        self._store: Store | None = None
        self._model: LoadedModel | None = None
        self._before_load: Fingerprint | None = None
        self._remembered = False
        self._encoder: SentenceEncoder | None = None
        self._encoder_tried = False

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; models are left to the garbage collector."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def store(self, *, create: bool = False) -> Store:
        """Return the open store. ``NoStoreError`` if there is none and it is not to be created."""
        if self._store is None:
            self._store = Store.open(self.settings.store, create=create, quota=self.settings.quota)
        return self._store

    def model(self) -> LoadedModel:
        """Return the model, loading it at the first call."""
        if self._model is None:
            from sharedcli.model.lean_import import import_transformers

            import_transformers()  # before anything else does, and brings the compiler with it
            from sharedcli.engine.loading import load_model

            self._before_load = fingerprint(self.settings)
            self._model = load_model(self.settings, self._on_step)
        return self._model

    def _load(self) -> None:
        self.model()
        self._passage_encoder()

    def encoder(self) -> SentenceEncoder | None:
        """Return the sentence encoder; None, once noted, if it cannot be had."""
        if not self._encoder_tried:
            from sharedcli.retrieve.embedding import load_encoder
            from sharedcli.retrieve.encoder_files import ignore_step

            try:
                self._encoder = load_encoder(
                    self.settings.cache,
                    offline=self.settings.offline,
                    device=self.settings.device,
                    on_step=self._on_step or ignore_step,
                )
            except ModelMissingError as error:
                self._on_note(f"searching by full text alone: {error}")
            self._encoder_tried = True  # not where it failed otherwise: that is told each time
        return self._encoder

    def _passage_encoder(self) -> SentenceEncoder | None:
        """The encoder for all passages of a document that is indexed; None to leave them be."""
        return self.encoder() if self.settings.embed == "index" else None

    def identity(self) -> TreeIdentity:
        """Return who makes trees under the present settings.

        Before the model is loaded this is what the last load on this machine found, if nothing has
        changed since; else the model is loaded.
        """
        if self._model is None and (known := recall(self.settings)) is not None:
            return known
        from sharedcli.retrieve.encoder_files import ENCODER_ID

        model = self.model()
        encoder = ENCODER_ID if self._passage_encoder() else NO_ENCODER
        identity = model.tree_identity(self.settings, encoder)
        if not self._remembered:
            remember(self.settings, self._before_load, identity)
            self._remembered = True
        return identity

    def index(
        self,
        paths: Sequence[str],
        *,
        force: bool = False,
        prune: bool = False,
        filters: Filters | None = None,
        on_progress: OnProgress | None = None,
    ) -> Iterator[IndexEvent]:
        """Index files and follow folders; see ``engine/indexing.py``.

        Args:
            paths: files, folders, or "-" for standard input.
            force: index files again that have not changed.
            prune: remove documents whose files are gone from the folders.
            filters: which files of folders are taken.
            on_progress: told the pages read and the passages encoded inside of one file.
        """
        from sharedcli.engine.indexing import Indexer
        from sharedcli.engine.tree_maker import TreeMaker

        store = self.store(create=True)
        indexer = Indexer(
            store,
            TreeMaker(
                store,
                self.settings,
                self.model,
                self._passage_encoder,
                self.identity,
                on_progress=on_progress,
            ),
            on_progress=on_progress,
            # what is remembered was loaded here before: nothing has to be fetched
            preload=self._load if recall(self.settings) is not None else None,
        )
        yield from indexer.run(paths, force=force, prune=prune, filters=filters)

    def watch(
        self,
        folders: Sequence[str],
        *,
        prune: bool = False,
        filters: Filters | None = None,
        settle: float = 1.0,
        poll: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Iterator[IndexEvent]:
        """Index folders, then again whenever something in them changes; never ends by itself.

        Args:
            folders: to follow; see ``engine/watching.py``.
            prune: remove documents whose files are gone.
            filters: which files are taken.
            settle: seconds without a change before a round begins.
            poll: look at the files again and again instead of waiting for the system's notices.
            on_progress: told the pages read and the passages encoded inside of one file.

        Raises:
            KeyboardInterrupt: on Ctrl-C.
        """
        from sharedcli.engine.watching import Watcher

        watcher = Watcher(
            folders,
            partial(self.index, prune=prune, on_progress=on_progress),
            filters or Filters(),
            ours=(self.settings.store, self.settings.cache),
            on_note=self._on_note,
        )
        yield from watcher.run(settle, poll)

    def plan(
        self,
        paths: Sequence[str],
        *,
        force: bool = False,
        prune: bool = False,
        filters: Filters | None = None,
        on_progress: OnProgress | None = None,
    ) -> Iterator[IndexEvent]:
        """Tell what ``index`` would do and take, and write nothing; see ``engine/planning.py``."""
        from sharedcli.engine.planning import Planner

        try:
            store: Store | None = self.store()
        except NoStoreError:
            store = None
        planner = Planner(store, self.settings, on_progress=on_progress)
        yield from planner.run(paths, force=force, prune=prune, filters=filters)

    def documents(self, selectors: Sequence[str] = ()) -> list[DocumentRecord]:
        """Return the documents that any selector matches (id, path, title, glob), or all.

        Raises:
            NoStoreError: no store, or nothing matches.
        """
        store = self.store()
        if not selectors:
            return store.documents()
        names = Names(store.documents())
        chosen = {record.id: record for name in selectors for record in names.select(name)}
        return list(chosen.values())

    def ask(
        self,
        question: str,
        documents: Sequence[str] = (),
        *,
        history: Sequence[tuple[str, str]] = (),
        begun: float | None = None,
    ) -> Answer:
        """Ask about the selected documents, or all; the answer's text comes while iterating.

        ``begun`` (monotonic) is when work for this question began, if before this call.

        Raises:
            NoStoreError: nothing is indexed, or no document matches.
            ModelMismatchError: a document was indexed by another model or geometry.
        """
        started = time.monotonic() if begun is None else begun
        records = self.documents(documents)
        if not records:
            raise NoStoreError(
                f"the store {self.settings.store} holds no documents; run `sharedcli index FILE`"
            )
        loads = self._model is None
        model, encoder, identity = self.model(), self.encoder(), self.identity()
        if loads:  # which takes seconds, and another process may replace a document meanwhile
            records = self.documents(documents)
        from sharedcli.engine.asking import Asker

        for record in records:
            self.store().check_identity(record, identity)
        asker = Asker(self.store(), self.settings, model, encoder)
        loaded = time.monotonic() - started
        return asker.ask(question, records, load_seconds=loaded, history=history)

    def open_nodes(self, question: str, documents: Sequence[str] = ()) -> list[ChunkFrontier]:
        """Return the tree nodes that a question opens; no language model is used.

        As if nothing were quoted: ``ask`` opens what lies behind the passages that it quotes.

        Raises:
            NoStoreError: no document matches.
        """
        from sharedcli.engine.opening import open_frontiers
        from sharedcli.retrieve.find import find_passages

        records = self.documents(documents)
        ids = [record.id for record in records]
        found = find_passages(self.store(), sanitise(question), ids, self.encoder())
        return open_frontiers(self.store(), found.ranked, records, self.settings.budget)[0]
