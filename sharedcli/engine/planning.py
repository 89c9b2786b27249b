"""``index --dry-run``: what a run would do, and what it would take; nothing is written.

Documents are read, because only their text tells how many tokens they have; no model is loaded.
Tokens are estimated from characters. Bytes, seconds and memory follow from what the last run on
this machine measured, and are unknown before the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sharedcli.engine.events import COUNTED, Estimate, IndexCounts, IndexEvent, OnProgress
from sharedcli.engine.filters import Filters, find
from sharedcli.engine.remembered import Rates, recall, recall_rates
from sharedcli.engine.syncing import Comparison, keeps_imported, missing
from sharedcli.errors import DocumentError
from sharedcli.ingest.discover import FoundFile
from sharedcli.ingest.presence import lies_in
from sharedcli.ingest.reader import DocumentReader
from sharedcli.store.store import Store

if TYPE_CHECKING:
    from sharedcli.settings import Settings

CHARACTERS_PER_TOKEN = 4.0
"""Of English text, where nothing was measured yet."""

MEMORY_PER_TOKEN = 100
"""Bytes of memory per token of a document: its text, tokens with their places, and vectors. All
else that indexing holds is the same for any document."""


class Planner:
    """Tells what ``Indexer`` would do.

    Args:
        store: None where there is none yet.
        settings: what is remembered depends on them.
        on_progress: told pages read.
    """

    def __init__(
        self,
        store: Store | None,
        settings: Settings,
        *,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._store = store
        self._on_progress = on_progress or (lambda _stage, _done, _total: None)
        self._identity = recall(settings)
        self._rates = recall_rates(settings, self._identity) if self._identity else None
        self._counts = IndexCounts()
        self._known: list[str] = []
        self._sum = estimate(0, self._rates)

    def run(
        self,
        paths: Sequence[str],
        *,
        force: bool = False,
        prune: bool = False,
        filters: Filters | None = None,
    ) -> Iterator[IndexEvent]:
        """Yield the events of a run, with "planned" for each file that would be indexed."""
        comparison = Comparison(self._store, lambda: self._identity, force=force)
        with DocumentReader() as reader:
            files = find(paths, filters)
            yield IndexEvent("found", total=len(files))
            for found in files:
                for event in self._file(reader, comparison, found):
                    self._count(event)
                    yield event
        for folder, lost in missing(self._store, paths, files) if self._store else ():
            kept = not prune or not any(lies_in(source, folder) for source in self._known)
            for record in lost:
                event = IndexEvent("missing" if kept else "removed", record.source, record=record)
                self._count(event)
                yield event
        yield IndexEvent("done", counts=self._counts, estimate=self._sum)

    def _file(
        self, reader: DocumentReader, comparison: Comparison, found: FoundFile
    ) -> Iterator[IndexEvent]:
        if found.problem is not None:
            kind = "failed" if found.named else "skipped"
            reason = f"{found.source}: {found.problem}" if found.named else found.problem
            yield IndexEvent(kind, found.source, reason=reason)  # type: ignore[arg-type]
            return
        verdict = comparison.of(found)
        if verdict.record:
            self._known.append(found.source)
        if verdict.kind in ("unchanged", "touched"):
            yield IndexEvent("unchanged", found.source, record=verdict.record)
        elif verdict.kind == "renamed" and verdict.record:
            was = verdict.record.source
            yield IndexEvent("renamed", found.source, record=verdict.record, previous=was)
        elif verdict.kind == "imported":
            yield IndexEvent("failed", found.source, reason=keeps_imported(found.source))
        else:
            yield IndexEvent("reading", found.source)
            try:
                document = reader.read(found.path, on_page=partial(self._on_progress, "pages"))
            except DocumentError as error:
                yield IndexEvent("failed", found.source, reason=str(error))
                return
            yield IndexEvent(
                "planned",
                document.source,
                changed=verdict.kind == "changed",
                warnings=document.warnings,
                estimate=estimate(len(document.text), self._rates),
            )

    def _count(self, event: IndexEvent) -> None:
        if event.kind == "planned" and event.estimate is not None:
            kind = "changed" if event.changed else "new"
            self._sum = _added(self._sum, event.estimate)
        elif event.kind in COUNTED:
            kind = event.kind
        else:
            return
        self._counts = replace(self._counts, **{kind: getattr(self._counts, kind) + 1})


def estimate(characters: int, rates: Rates | None) -> Estimate:
    """What a text of so many characters will take."""
    if rates is None:
        return Estimate(round(characters / CHARACTERS_PER_TOKEN))
    tokens = round(characters / rates.characters_per_token)
    grown = MEMORY_PER_TOKEN * max(0.0, tokens - rates.longest)
    return Estimate(
        tokens,
        round(tokens * rates.bytes_per_token),
        round(tokens / rates.tokens_per_second, 1),
        round(rates.peak_bytes + grown) if rates.peak_bytes else None,
    )


def _added(one: Estimate, other: Estimate) -> Estimate:
    tokens = one.tokens + other.tokens
    if None in (one.bytes, one.seconds, other.bytes, other.seconds):
        return Estimate(tokens)
    assert one.bytes is not None and other.bytes is not None
    assert one.seconds is not None and other.seconds is not None
    # one document after the other: the largest counts
    memory = max(one.memory or 0, other.memory or 0) or None
    seconds = round(one.seconds + other.seconds, 1)
    return Estimate(tokens, one.bytes + other.bytes, seconds, memory)
