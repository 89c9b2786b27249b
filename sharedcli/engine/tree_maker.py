"""Trees of documents that were read: cut, compressed, and written into the store.

What a run of indexing loads and keeps for all its files is here: models, threads, who makes the
trees, and what the work took, for later estimates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

from sharedcli.engine.cutting import cut
from sharedcli.engine.events import OnProgress
from sharedcli.engine.peak import peak_bytes
from sharedcli.engine.remembered import Rates, remember_rates
from sharedcli.errors import NoTextError, SharedCLIError
from sharedcli.ingest.discover import FoundFile
from sharedcli.ingest.document import Document
from sharedcli.process import return_freed_memory
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


_RETURN_TOKENS = 1 << 16
"""Freed memory goes back before the first and after as many tokens, of documents with more."""


class TreeMaker:
    """Makes trees in one store.

    Args:
        store: open for writing.
        settings: geometry, slot format.
        model: called when the first file needs the model.
        encoder: called when the first file needs the sentence encoder; None if there is none.
        identity: who makes the trees; may be remembered before the model is loaded.
        on_progress: told passages encoded; None for nobody.
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
        self._assumed: TreeIdentity | None = None
        self._open = ExitStack()
        self._pool: WorkerThreads | None = None
        self._tokens = self._stored_bytes = self._characters = self._longest = 0
        self._seconds = 0.0  # without loading models

    def __enter__(self) -> TreeMaker:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool = None
        self._open.close()

    def known_identity(self) -> TreeIdentity:
        """Who makes the trees, as far as it is known without the model."""
        if self._assumed is None:
            self._assumed = self._identity()
        return self._assumed

    def load(self) -> None:
        """Load the models; what is wrong with these concerns no file."""
        self._model()
        self._encoder()

    def threads(self) -> WorkerThreads:
        """The threads that compute, for the whole run."""
        if self._pool is None:
            from sharedcli.engine.threads import WorkerThreads

            model = self._model()
            on_cpu = model.base.device.type == "cpu"
            self._pool = self._open.enter_context(WorkerThreads(on_cpu and model.merges))
        return self._pool

    def prepared(self, document: Document) -> Computing:
        """A document that was cut; if it is short, threads without work have begun with it.

        Raises:
            NoTextError: it has none.
        """
        from sharedcli.engine.compressing import Computing

        model, slot_format = self._model(), self._settings.slot_format
        work = cut(document, model.base.tokenizer)
        tree = ContextTree(len(work.token_ids), model.geometry(self._settings))
        if not tree.tokens:
            raise NoTextError(f"{document.source}: there is no text in it")
        computing = Computing(
            work,
            tree,
            threads=self.threads(),
            # without slots nothing is compressed, and no layers need to be laid out
            compressor=model.opener if slot_format == RECOMPUTE else model.indexer,
            encoder=self._encoder(),
            slot_format=slot_format,
        )
        if computing.is_short:
            computing.begin()
        return computing

    def write(self, work: Computing, found: FoundFile) -> Generator[int | DocumentRecord]:
        """Write a document into the store; yields the tokens done, and its record at the end.

        Raises:
            UnreadableError: the store cannot take what the document holds.
            SharedCLIError: the model is not the one that documents were compared with.
        """
        identity = self._real_identity()
        begun = time.monotonic()
        writer = self._store.writer(
            work.cut.document,
            identity,
            file_size=found.size,
            mtime_ns=found.mtime_ns,
            path=found.place,
        )
        with closing(work), writer:
            due = 0
            for done in work.write(writer, partial(self._on_progress, "passages")):
                yield done
                if done >= due and work.tree.tokens > _RETURN_TOKENS:
                    return_freed_memory()
                    due = done + _RETURN_TOKENS
            record = writer.commit()
        self._seconds += time.monotonic() - begun
        self._characters += len(work.cut.document.text)
        self._longest = max(self._longest, work.tree.tokens)
        self._tokens += record.tokens
        self._stored_bytes += record.stored_bytes
        yield record

    def remember_rates(self) -> None:
        """Keep what the work took, if there was any, for later estimates."""
        if self._tokens and self._seconds > 0:
            rates = Rates(
                self._tokens / self._seconds,
                self._stored_bytes / self._tokens,
                self._characters / self._tokens,
                peak_bytes() or 0,
                self._longest,
            )
            remember_rates(self._settings, self._identity(), rates)

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
