"""Questions over a context: the document with the evidence, and distractors around it.

Notable choices:
- Several questions share one context, which is compressed once: the cheapest way to pack.
- Whatever a search may see (evidence spans, quotations) is known before the answer's tokens are
  joined on (``prompts.py``).
- A question whose answer is not quoted from its document needs the whole document in its context;
  where the context is too short for that, it is left out.
- All prompts of a context quote the same passages: what they begin with alike is read once where
  the trainer can (``fused``), so that many questions cost little more than one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any

import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt
from sharedcli.errors import UsageError
from sharedcli.training.absent import draw_absent
from sharedcli.training.prompts import QuestionPrompts, fits
from sharedcli.training.quoting import Quotable
from sharedcli.training.samples import Sample
from sharedcli.training.sources import Source
from sharedcli.training.token_files import (
    TokenFile,
    TokenisedDocument,
    TokenisedQuestion,
)


@dataclass(frozen=True)
class _Asked:
    """A document with questions, and its file."""

    file: TokenFile
    document: TokenisedDocument

    @property
    def tokens(self) -> Tensor:
        """The document's tokens."""
        return self.file.slice(self.document.start, self.document.end)


@dataclass(frozen=True)
class _Found:
    """A question in the context that is read.

    ``span`` are the tokens of its evidence, None if there is none; ``place`` the first character of
    its answer, None if that is not quoted.
    """

    question: TokenisedQuestion
    span: tuple[int, int] | None
    place: int | None


class QuestionSampler:
    """Draws documents in proportion to their questions and weight, and questions about them.

    Attributes:
        too_long: number of questions that are left out, as they might fit no prompt.
    """

    def __init__(self, sources: Sequence[Source], tokenizer: Any, held: bool = False) -> None:
        self._tokenizer = tokenizer
        self._prompts = QuestionPrompts(tokenizer)
        self.too_long = 0
        self._documents: list[tuple[float, _Asked]] = []
        for source in sources:
            for document in source.held if held else source.training:
                fitting = tuple(filter(fits, document.questions))
                self.too_long += len(document.questions) - len(fitting)
                if fitting:
                    asked = _Asked(source.file, replace(document, questions=fitting))
                    self._documents.append((source.weight, asked))

    def __len__(self) -> int:
        """Number of questions."""
        return sum(len(asked.document.questions) for _, asked in self._documents)

    def check(self, context: int) -> None:
        """Raise what ``draw`` would: a run should not end where it comes to that length."""
        self._table(context)

    def draw(
        self,
        rng: Random,
        context: int,
        questions: int,
        *,
        distractors: float = 0.0,
        verbatim: float = 0.0,
        passages: int = 1,
        absent: float = 0.0,
    ) -> Sample:
        """Draw a context of at most ``context`` tokens and at most ``questions`` about it.

        In a share ``verbatim`` of draws the prompts quote one to ``passages`` passages of the
        context; in a share ``absent`` of these one question has no answer there.

        Raises:
            UsageError: no document of the data fits the context.
        """
        asked = self._pick(rng, context)
        begin, end = self._window(rng, asked.document, context)
        before, own, after = self._around(rng, asked, (begin, end), context, distractors)
        whole = torch.cat((*before, own, *after))
        text = self._text(whole)
        first = sum(map(len, before))
        found = [
            self._find(question, whole, first - begin, (first, first + len(own)))
            for question in _answerable(asked.document, begin, end)
        ]
        rng.shuffle(found)
        quoted: list[Excerpt] = []
        if rng.random() < verbatim:
            if absent and rng.random() < absent:
                found = self._with_absent(rng, asked, (begin, end), text, found)
            count, anchor = rng.randint(1, passages), found[0]
            spans = Quotable(text).choose(rng, anchor.question.question, anchor.place, count)
            found = _asked_together(found, spans, questions)
            quoted = [Excerpt("document", text[begin:end]) for begin, end in spans]
        running = [
            self._prompts.running(rng, one.question, one.span, quoted, whole)
            for one in found[:questions]
        ]
        return Sample(whole, tuple(running))

    def _find(
        self, question: TokenisedQuestion, whole: Tensor, shift: int, every: tuple[int, int]
    ) -> _Found:
        """Where the answer is in the context; ``every`` is the document's part of it."""
        if question.start < 0:
            return _Found(question, every, None)
        span = (question.start + shift, question.end + shift)
        return _Found(question, span, len(self._text(whole[: span[0]])))

    def _with_absent(
        self, rng: Random, asked: _Asked, part: tuple[int, int], text: str, found: list[_Found]
    ) -> list[_Found]:
        """Put a question without an answer first, where passages are found for it, or second."""
        alike = [other.document for _, other in self._documents if other.file is asked.file]
        question = draw_absent(rng, asked.document, part, text, alike)
        if question is None:
            return found
        place = int(rng.random() < 0.5)
        return [*found[:place], _Found(question, None, None), *found[place:]]

    def _pick(self, rng: Random, context: int) -> _Asked:
        asked, bounds = self._table(context)
        return asked[min(bisect_right(bounds, rng.random() * bounds[-1]), len(bounds) - 1)]

    @lru_cache(maxsize=16)  # noqa: B019  one sampler per run
    def _table(self, context: int) -> tuple[list[_Asked], list[float]]:
        """Documents with a question that ``context`` tokens can answer, and summed weights."""
        fitting: list[_Asked] = []
        weights: list[float] = []
        for weight, asked in self._documents:
            document = asked.document
            if document.tokens <= context:
                count = len(document.questions)
            else:
                count = sum(q.start >= 0 and q.end - q.start <= context for q in document.questions)
            if count:
                fitting.append(asked)
                weights.append(weight * count)
        if not fitting:
            raise UsageError(
                f"no document with questions fits a context of {context} tokens; "
                "raise context_tokens in the recipe"
            )
        return fitting, list(accumulate(weights))

    def _window(self, rng: Random, document: TokenisedDocument, context: int) -> tuple[int, int]:
        """The part of the document to read: all of it, or a window around some answer."""
        if document.tokens <= context:
            return 0, document.tokens
        quoted = [q for q in document.questions if q.start >= 0 and q.end - q.start <= context]
        anchor = rng.choice(quoted)
        first = max(0, anchor.end - context)
        begin = rng.randint(first, min(anchor.start, document.tokens - context))
        return begin, begin + context

    def _around(
        self, rng: Random, asked: _Asked, part: tuple[int, int], context: int, distractors: float
    ) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """A part of the document, and by a chance of ``distractors`` others before and after.

        Questions about all of a text have nothing around it: they would be about that as well.
        """
        own = asked.tokens[slice(*part)]
        quotes = any(question.start >= 0 for question in asked.document.questions)
        if not quotes or rng.random() >= distractors:
            return [], own, []
        before, after = self._distractors(rng, asked, context - len(own))
        return before, own, after

    def _distractors(
        self, rng: Random, asked: _Asked, room: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Other documents, whole or cut, to fill ``room``: in random order around the own one."""
        before: list[Tensor] = []
        after: list[Tensor] = []
        for _ in range(64):
            other = rng.choice(self._documents)[1]
            if room < 16:
                break
            if other.document == asked.document:
                continue
            tokens = other.tokens[:room]
            room -= len(tokens)
            (before if rng.random() < 0.5 else after).append(tokens)
        return before, after

    def _text(self, tokens: Tensor) -> str:
        return str(self._tokenizer.decode(tokens.tolist(), clean_up_tokenization_spaces=False))


def _asked_together(
    found: Sequence[_Found], spans: Sequence[tuple[int, int]], questions: int
) -> list[_Found]:
    """Which questions to ask with what was quoted for the first of ``found``, that one first.

    Those follow that the quotations answer; of the others, which slots alone can answer, at most
    one.
    """
    anchor, *others = found
    inside: list[_Found] = []
    outside: list[_Found] = []
    for other in others:
        told = other.place is None or any(a <= other.place < b for a, b in spans)
        (inside if told else outside).append(other)
    return [anchor, *inside, *outside[: int(len(inside) + 1 < questions)]]


def _answerable(document: TokenisedDocument, begin: int, end: int) -> list[TokenisedQuestion]:
    """Questions whose answer stands in the window, or all if the window is the document."""
    if end - begin == document.tokens:
        return list(document.questions)
    return [q for q in document.questions if begin <= q.start and q.end <= end]
