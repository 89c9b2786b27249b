"""Full-text retrieval, passages verbatim: what most people do today."""

from __future__ import annotations

import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt
from sharedcli.baselines.streams import CachedStream
from sharedcli.evaluation.methods.contract import Context, Method, Opened
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.rank import RankedPassage

QUERY_TOKENS = 64
"""Last tokens of the context that stand for a question where there is none."""


def last_words(context: Context) -> str:
    """What retrieval asks for when text goes on: the words just before."""
    count = len(context.tokens)
    return context.span(max(0, count - QUERY_TOKENS), count)


def excerpts(context: Context, ranked: list[RankedPassage]) -> list[Excerpt]:
    """Passages as excerpts for the prompt, named as the product names them."""
    document = context.document
    found = []
    for hit in ranked:
        page = document.page_at(hit.passage.start)
        where = f"page {page.number}" if document.paged else page.label or f"part {page.number}"
        text = document.text[hit.passage.start : hit.passage.end]
        found.append(Excerpt(f"{document.title}, {where}", text))
    return found


def verbatim_tokens(context: Context, ranked: list[RankedPassage], room: int) -> Tensor:
    """Passages in reading order as plain tokens [T], the best that fit into ``room``."""
    ids, spans = context.encoded
    chosen: list[tuple[int, int]] = []
    for hit in ranked:
        first = int((spans[:, 1] <= hit.passage.start).sum())
        last = int((spans[:, 0] < hit.passage.end).sum())
        if last - first <= room:
            chosen.append((first, last))
            room -= last - first
    parts = [ids[first:last] for first, last in sorted(chosen)]
    return torch.cat(parts) if parts else ids[:0]


class Passages(Method):
    """The best passages by full text, verbatim in the prompt."""

    name = "passages"
    about = "the best passages by full-text search, verbatim in the prompt"

    def prepare(self, context: Context, *, asked: bool) -> None:
        """As ``Method.prepare``."""
        _ = context.lexical

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``; the last words of the context are the query."""
        wanted = self.bench.settings.passages
        ranked = self._find(context, last_words(context))[:wanted]
        room = self.bench.window - len(running)
        tokens = verbatim_tokens(context, ranked, room)
        return Opened(CachedStream(self.bench.model.shared), tokens, context_tokens=len(tokens))

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        ranked = self._find(context, question)[: self.bench.settings.passages]
        limit = self.bench.room(max_tokens)
        prompt, used = self.bench.prompt(question, excerpts(context, ranked), limit)
        return Opened(CachedStream(self.bench.model.shared), prompt, detail={"passages": used})

    @staticmethod
    def _find(context: Context, query: str) -> list[RankedPassage]:
        return find_passages(context.lexical, query, [context.document.source], None).ranked
