"""Is the evidence page among the pages that are cited, and do the slots go where it is?

Rankings within the right document, and over all documents at once:

| name | ranking |
|---|---|
| ``words`` | full text, words of the question only |
| ``full-text`` | full text with document phrases |
| ``vectors`` | sentence vectors |
| ``words+vectors`` | both, without document phrases |
| ``default`` | both: what ``ask --doc`` cites |
| ``cosine-W`` | both, the cosine weighted W instead of 1.5 |
| ``rrf-K`` | both, fused by reciprocal ranks with constant K |
| ``late-N`` | the default where N passages are embedded, when asked (``--embed ask``: 16) |
| ``library`` | the default over all documents at once |
| ``library-unnamed`` | that without the push for documents that the question names |

Scores: ``first_1``, ``first_5``, ``first_10`` (1 if an evidence page is among the first so many
distinct pages), ``mrr`` (1 / rank of the first), and for ``default`` under the slot budget
``opened`` (share of the evidence's tokens whose chunk is opened) and ``descent`` (detail that the
evidence is kept with, against that of the best possible frontier). Answers whose place is known
have two more, each a descent of the chunk that holds it: ``descent-passages`` and
``descent-first-layer`` (the paper's score), with the score ``path``: 1 if the answer is in the
finest nodes of the path. Chance is 1 in 2 to the power of depth - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sharedcli.errors import UsageError
from sharedcli.evaluation.memory_index import MemoryIndex
from sharedcli.evaluation.methods.contract import Context, UnfitError, Workbench
from sharedcli.evaluation.tasks.contract import Case, Outcome, Task
from sharedcli.evaluation.tasks.descent import frontier_scores, path_score
from sharedcli.evaluation.tasks.pages import PageQuestion
from sharedcli.ingest.document import Document
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.late import late_places
from sharedcli.retrieve.lexical import match_expression, query_terms
from sharedcli.retrieve.rank import (
    ABSENT,
    CANDIDATES,
    RankedPassage,
    best_pages,
    fuse,
    window_cosines,
)
from sharedcli.store.fulltext import quote_term
from sharedcli.store.records import Passage

if TYPE_CHECKING:
    from sharedcli.retrieve.rank import Scores

ALL = 10**6
FIRST = (1, 5, 10)
LEXICAL = ("words", "full-text")
WITH_VECTORS = (
    *("vectors", "words+vectors", "default", "cosine-0.5", "cosine-1", "cosine-2", "cosine-3"),
    *("rrf-10", "rrf-60", "late-8", "late-16", "late-32", "late-64", "library-unnamed", "library"),
)
DESCENTS = ("descent-passages", "descent-first-layer")
RANKINGS = (*LEXICAL, *WITH_VECTORS, *DESCENTS)


class Retrieval(Task):
    """Rankings of pages for questions whose evidence page is known.

    Args:
        documents: by name; their sources are these names.
        questions: about them.
        bench: encoder, tokenizer, settings.
        ways: rankings; None takes all that the encoder and the questions allow.
    """

    name: ClassVar[str] = "retrieval"

    def __init__(
        self,
        documents: Mapping[str, Document],
        questions: Sequence[PageQuestion],
        bench: Workbench,
        ways: Sequence[str] | None = None,
    ) -> None:
        self._documents = documents
        self._questions = questions
        self._bench = bench
        self._ways = list(ways or self._possible())
        for way in self._ways:
            if way not in RANKINGS:
                raise UsageError(f"there is no ranking {way!r}; use some of {', '.join(RANKINGS)}")
            if bench.encoder is None and way in WITH_VECTORS and way != "default":
                raise UsageError(
                    f"{way} needs the sentence encoder; fetch it with `sharedcli model fetch`"
                )
        self._index: MemoryIndex | None = None
        self._contexts: dict[str, Context] = {}

    def _possible(self) -> list[str]:
        dense = WITH_VECTORS if self._bench.encoder is not None else ("default",)
        spans = any(question.span for question in self._questions)
        return [*LEXICAL, *dense, *(DESCENTS if spans else ())]

    @property
    def ways(self) -> Sequence[str]:
        """As ``Task.ways``."""
        return self._ways

    @property
    def notes(self) -> Sequence[str]:
        """As ``Task.notes``."""
        pages = sum(len(document.pages) for document in self._documents.values())
        return [f"{len(self._documents)} documents, {pages} pages"]

    def cases(self) -> Sequence[Case]:
        """As ``Task.cases``."""
        return [Case(one.id, one.document, {}, one) for one in self._questions]

    def prepare(self, case: Case) -> None:
        """As ``Task.prepare``: index all documents, once."""
        _ = self._all, self._context(case.group).encoded

    def measure(self, case: Case, way: str) -> Outcome:
        """As ``Task.measure``."""
        question: PageQuestion = case.payload
        if way in DESCENTS:
            return self._descent(question, way)
        pages = self._pages(question, way)
        right = {(question.document, page) for page in question.pages}
        rank = next((n for n, page in enumerate(pages, 1) if page in right), None)
        scores = {f"first_{k}": float(rank is not None and rank <= k) for k in FIRST}
        scores["mrr"] = round(1 / rank, 6) if rank else 0.0
        if way == "default":
            context, ranked = self._context(question.document), self._default(question)
            scores |= frontier_scores(context, ranked, self._evidence(question), self._bench)
        return Outcome(scores, {"question": question.text, "rank": rank})

    def _descent(self, question: PageQuestion, way: str) -> Outcome:
        if question.span is None:
            raise UnfitError("the answer's place is not known")
        context = self._context(question.document)
        ranked = self._default(question) if way == "descent-passages" else None
        right = path_score(context, question.text, question.span, ranked, self._bench)
        if right is None:
            raise UnfitError("the answer crosses a node or stands in a short chunk")
        return Outcome({"path": right}, {"question": question.text})

    def _evidence(self, question: PageQuestion) -> list[tuple[int, int]]:
        if question.span is not None:
            return [question.span]
        pages = self._documents[question.document].pages
        return [(page.start, page.end) for page in pages if page.number in question.pages]

    @property
    def _all(self) -> MemoryIndex:
        if self._index is None:
            self._index = MemoryIndex(list(self._documents.values()), self._bench.encoder)
        return self._index

    def _context(self, name: str) -> Context:
        if name not in self._contexts:
            self._contexts[name] = Context(self._documents[name], self._bench)
        return self._contexts[name]

    def _default(self, question: PageQuestion) -> list[RankedPassage]:
        names = [question.document]
        return find_passages(self._all, question.text, names, self._bench.encoder, ALL).ranked

    def _pages(self, question: PageQuestion, way: str) -> list[tuple[str, int]]:
        """All pages in the order of one ranking."""
        if way == "default":
            return best_pages(self._default(question), ALL)
        if way.startswith("library"):
            return best_pages(self._library(question, way == "library"), ALL)
        name = question.document
        ((_, passages, vectors),) = self._all.read_passages([name])
        match = _words(question.text) if "words" in way else match_expression(question.text)
        hits = (
            []
            if way == "vectors" or not match
            else self._all.search_text(match, [name], CANDIDATES)
        )
        cosines: dict[str, Scores] = {}
        if way not in LEXICAL:
            assert self._bench.encoder is not None
            query = self._bench.encoder.encode([question.text])[0]
            cosines = {name: window_cosines(query, vectors)}
            if way.startswith("late-"):
                count = int(way.removeprefix("late-"))
                chosen = late_places(hits, {name: passages}, count)
                left = np.setdiff1d(range(len(passages)), [at for _, at in chosen])
                cosines[name][left] = ABSENT
        ranked = fuse(hits, cosines, {name: passages}, ALL)
        if way.startswith(("cosine-", "rrf-")):
            score = _reweighted(ranked, way)
            ranked = sorted(ranked, key=lambda hit: (-score[id(hit)], hit.passage.ordinal))
        return best_pages(ranked, ALL)

    def _library(self, question: PageQuestion, named: bool) -> list[RankedPassage]:
        names = list(self._documents)
        if named:
            return find_passages(self._all, question.text, names, self._bench.encoder, ALL).ranked
        match = match_expression(question.text)
        hits = self._all.search_text(match, names, CANDIDATES) if match else []
        assert self._bench.encoder is not None
        query = self._bench.encoder.encode([question.text])[0]
        passages: dict[str, Sequence[Passage]] = {}
        cosines: dict[str, Scores] = {}
        for name, found, vectors in self._all.read_passages(names):
            passages[name] = found
            if vectors.size:
                cosines[name] = window_cosines(query, vectors)
        return fuse(hits, cosines, passages, ALL)


def _words(question: str) -> str:
    return " OR ".join(quote_term(term) for term in query_terms(question))


def _reweighted(ranked: Sequence[RankedPassage], way: str) -> dict[int, float]:
    kind, _, number = way.partition("-")
    value = float(number)
    if kind == "rrf":
        return {
            id(hit): sum(1 / (value + r) for r in (hit.lexical_rank, hit.dense_rank) if r)
            for hit in ranked
        }
    best = max((hit.bm25 or 0.0 for hit in ranked), default=0.0) or 1.0
    return {
        id(hit): (hit.bm25 or 0.0) / best + value * max(0.0, hit.cosine or 0.0) for hit in ranked
    }
