"""Ask a question: search, choose nodes, read their slots, inject, answer.

    question -> retrieve (passages, then tree nodes) -> store -> inject -> decoder -> text

The best few passages go into the prompt verbatim; everything else that is relevant arrives as
slots, finest where relevance is highest, within a budget over all documents.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from sharedcli.answer.answer import Answer, Evidence, OpenedChunk, Timings, Usage
from sharedcli.answer.asked_row import Place, asked_place, asked_year, lines_of
from sharedcli.answer.citations import Citation, cite
from sharedcli.answer.document_names import distinct_names
from sharedcli.answer.grounds import Grounds
from sharedcli.answer.prompt import Excerpt, build_prompt
from sharedcli.engine.generating import text_of
from sharedcli.engine.loading import LoadedModel
from sharedcli.engine.opening import CHUNK_PASSAGES, open_frontiers, unquoted
from sharedcli.engine.slots import read_context
from sharedcli.errors import UsageError
from sharedcli.ingest.document import Document
from sharedcli.ingest.sanitise import sanitise
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.devices import guard_memory
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.follow_up import search_text, stands_alone
from sharedcli.retrieve.gate import THRESHOLD, Support, answerable, measure_support
from sharedcli.retrieve.lexical import query_terms
from sharedcli.retrieve.rank import RankedPassage
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree

if TYPE_CHECKING:
    from sharedcli.retrieve.embedding import SentenceEncoder
    from sharedcli.settings import Settings

CITATIONS = 10
"""Pages that are cited at most."""


BEFORE = 8000
"""Characters before a passage in which the head of its table is looked for."""


class Asker:
    """Answers questions about documents of one store with one loaded model."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        model: LoadedModel,
        encoder: SentenceEncoder | None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._model = model
        self._encoder = encoder
        self._documents: dict[str, Document] = {}
        self._places: dict[str, str] = {}

    def ask(
        self,
        question: str,
        records: Sequence[DocumentRecord],
        *,
        load_seconds: float = 0.0,
        history: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Search, and return an answer whose text is produced while it is iterated.

        Raises:
            UsageError: an empty question, or one that does not fit the window.
            CorruptionError, OutOfMemoryError: as named.
        """
        question = sanitise(question)  # bytes of a command line need not be text
        if not question.strip():
            raise UsageError('the question is empty; ask like: sharedcli ask "What is ...?"')
        started = time.monotonic() - load_seconds
        timings = Timings(load=load_seconds)
        mark = time.monotonic()
        wanted = search_text(question, history)
        self._places = {record.id: record.place for record in records}
        ids = list(self._places)
        found = find_passages(self._store, wanted, ids, self._encoder)
        ranked, row = self._with_asked_row(question, found.ranked)
        may_refuse = self._settings.abstain == "auto" and stands_alone(question, history)
        support = measure_support(self._store, wanted, ids, found) if may_refuse else None
        refusal = self._refusal(support, ranked)
        timings.search = time.monotonic() - mark
        if refusal:
            return self._nothing(question, refusal, ranked, timings=timings, started=started)
        frontiers, trees = self.frontiers(unquoted(ranked, self._settings), records)
        timings.search = time.monotonic() - mark
        mark = time.monotonic()
        context, note = self._context(frontiers, trees)
        timings.inject = time.monotonic() - mark
        return self._answer(
            question,
            ranked,
            frontiers if context else [],
            context,
            note=note,
            timings=timings,
            started=started,
            history=history,
            support=support,
            row=row,
        )

    def frontiers(
        self, ranked: Sequence[RankedPassage], records: Sequence[DocumentRecord]
    ) -> tuple[list[ChunkFrontier], dict[str, ContextTree]]:
        """Spend the slot budget on the chunks that hold passages, best first."""
        return open_frontiers(self._store, ranked, records, self._settings.budget)

    def _context(
        self, frontiers: Sequence[ChunkFrontier], trees: dict[str, ContextTree]
    ) -> tuple[CompressedKV | None, str]:
        inject = self._settings.inject
        if inject == "never":
            return None, "injection is off" if frontiers else ""
        if inject == "auto" and not self._model.trained:
            return None, (
                "no slots: there is no trained adapter for this model (--inject always "
                "injects them anyway)"
            )
        if not frontiers:
            return None, ""
        with guard_memory("reading slots"):
            dtype, opener = self._model.base.dtype, self._model.opener
            return read_context(self._store, frontiers, trees, dtype, opener), ""

    def _answer(
        self,
        question: str,
        ranked: Sequence[RankedPassage],
        frontiers: Sequence[ChunkFrontier],
        context: CompressedKV | None,
        *,
        note: str,
        timings: Timings,
        started: float,
        history: Sequence[tuple[str, str]],
        support: Support | None,
        row: Place | None,
    ) -> Answer:
        model, settings = self._model, self._settings
        verbatim = list(ranked[: settings.passages])
        excerpts = self._excerpts(verbatim)
        with guard_memory("reading slots"):
            injected = model.shared.prepare(context)
        # Slots take positions before the running text, and all must lie in the window.
        start = 0 if injected is None else int(injected.start.max())
        room = model.base.window - settings.max_tokens - start
        if room <= 0:
            raise UsageError(
                f"--max-tokens {settings.max_tokens} and {start} positions of slots leave nothing "
                f"of the model's window of {model.base.window} tokens; lower --max-tokens or "
                "--budget"
            )
        prompt = build_prompt(model.base.tokenizer, question, excerpts, room, history)
        shown = excerpts[: prompt.excerpts]
        slots = context.slots if context else 0
        covered = sum(node.tokens for opened in frontiers for node in opened.nodes)
        refusal = f"what was found does not seem to answer this; {self._nearest(ranked)}"
        return Answer(
            question=question,
            found=True,
            sources=self._cited(question, ranked, prompt.excerpts),
            evidence=Evidence(
                prompt.excerpts,
                slots,
                covered,
                tuple(self._opened(frontier) for frontier in frontiers),
                note,
            ),
            usage=Usage(len(prompt.tokens), slots, covered),
            timings=timings,
            model=model.base.identity.model_id,
            adapter=model.adapter_name,
            _pieces=text_of(
                model,
                settings,
                prompt.tokens,
                injected,
                asked=search_text(question, history),
                shown=shown,
                row=row,
                grounds=_grounds(question, support, shown),
                refusal=refusal,
            ),
            _started=started,
        )

    def _refusal(self, support: Support | None, ranked: Sequence[RankedPassage]) -> str:
        """Why there is no answer in the documents; "" if there may be one."""
        if not ranked:
            return "no passage of the documents fits the question"
        if support is None or answerable(support) >= THRESHOLD:
            return ""
        return f"nothing in the documents seems to answer this; {self._nearest(ranked)}"

    def _nearest(self, ranked: Sequence[RankedPassage]) -> str:
        """Where to look, in words, and what to do if a refusal is wrong."""
        document = self._document(ranked[0].doc_id)
        page = document.page_at(ranked[0].passage.start).number
        # as sources name it; a title may be anything
        name = document.title if document.source == "-" else PurePath(document.source).name
        return (
            f"the nearest is {'page' if document.paged else 'part'} {page} of {name} "
            "(--abstain never answers all the same)"
        )

    def _nothing(
        self,
        question: str,
        why: str,
        ranked: Sequence[RankedPassage],
        *,
        timings: Timings,
        started: float,
    ) -> Answer:
        """No answer, but the nearest pages: a refusal may be wrong."""
        return Answer(
            question=question,
            found=False,
            sources=self._cited(question, ranked, 0),
            evidence=Evidence(0, 0, 0, note=why),
            usage=Usage(0, 0, 0),
            timings=timings,
            model=self._model.base.identity.model_id,
            adapter=self._model.adapter_name,
            _started=started,
        )

    def _cited(
        self, question: str, ranked: Sequence[RankedPassage], verbatim: int
    ) -> tuple[Citation, ...]:
        best = ranked[:CHUNK_PASSAGES]
        documents = {hit.doc_id: self._document(hit.doc_id) for hit in best}
        terms = query_terms(question)
        return cite(best, documents, CITATIONS, verbatim, terms, places=self._places)

    def _document(self, doc_id: str) -> Document:
        if doc_id not in self._documents:
            self._documents[doc_id] = self._store.load_document(doc_id)
        return self._documents[doc_id]

    def _excerpts(self, hits: Sequence[RankedPassage]) -> list[Excerpt]:
        documents = {hit.doc_id: self._document(hit.doc_id) for hit in hits}
        names = distinct_names(documents, self._places)
        excerpts = []
        for hit in hits:
            document, start = documents[hit.doc_id], hit.passage.start
            before = document.text[max(document.page_at(start).start, start - BEFORE) : start]
            text = document.text[start : hit.passage.end]
            called = f"{document.title} {PurePath(document.source).name}"
            excerpts.append(Excerpt(names[hit.doc_id], text, before, called))
        return excerpts

    def _with_asked_row(
        self, question: str, ranked: list[RankedPassage]
    ) -> tuple[list[RankedPassage], Place | None]:
        """Let the last quoted passage be the first one with the row that is asked for."""
        quoted = self._settings.passages
        if not quoted or asked_year(question) is None:
            return ranked, None
        row = asked_place(question, lines_of(self._excerpts(ranked[:CHUNK_PASSAGES])))
        if row is None:
            return ranked, None
        last = min(row.passage, quoted - 1)
        best = ranked.copy()
        best.insert(last, best.pop(row.passage))
        return best, row

    def _opened(self, frontier: ChunkFrontier) -> OpenedChunk:
        return OpenedChunk(
            self._document(frontier.doc_id).source,
            frontier.chunk,
            round(frontier.score, 4),
            tuple(node.key for node in frontier.nodes),
        )


def _grounds(question: str, support: Support | None, shown: Sequence[Excerpt]) -> Grounds | None:
    """What the answer is held against; None where the decoder's verdict does not count."""
    if support is None or support.whole or not shown:
        return None
    texts = [excerpt.text for excerpt in shown]
    return Grounds(question, support.absent, support.weights, texts)
