"""Training samples: a context to compress and the running text that reads it.

Every sample is a function of its random generator alone, which is seeded with its place in the run
(seed, stage, step, ...). So a resumed run draws what the killed one would have drawn, and no state
of a data loader has to be kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random

import torch
from torch import Tensor

from sharedcli.errors import UsageError
from sharedcli.training.sources import Source
from sharedcli.training.token_files import TokenFile, TokenisedDocument


@dataclass(frozen=True)
class Running:
    """Running text over a context.

    Attributes:
        tokens: [T].
        first_target: loss is on tokens from here on; what stands before is only read.
        evidence: token span in the context that holds the answer; None if there is no question.
        verbatim: what a teacher reads in place of ``tokens`` [T']: the same targets at the end,
            with the context in the prompt; None if it reads the context and then ``tokens``.
        sees: tokens of the context that stand before it; None for all. Where it is given, the text
            goes on from there in the context itself.
    """

    tokens: Tensor
    first_target: int = 1
    evidence: tuple[int, int] | None = None
    verbatim: Tensor | None = None
    sees: int | None = None


@dataclass(frozen=True)
class Sample:
    """One context [C] and the running texts that read it."""

    context: Tensor
    running: tuple[Running, ...]


@dataclass(frozen=True)
class Stretch:
    """Consecutive text in a token file: a document, or several short ones one behind the other."""

    file: TokenFile
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """Length."""
        return self.end - self.start


class TextSampler:
    """Draws windows of long text: documents in proportion to their length and weight."""

    def __init__(self, sources: Sequence[Source], held: bool = False) -> None:
        self._documents = [(source, source.held if held else source.training) for source in sources]
        self._kind = "held-out" if held else "training"

    def longest(self) -> int:
        """Tokens of the longest document."""
        return max((d.tokens for _, docs in self._documents for d in docs), default=0)

    def check(self, running: int) -> None:
        """Raise what ``draw`` would: a run should not end where it comes to that length."""
        self._table(running)

    def draw(
        self, rng: Random, context: int, running: int, distractors: float = 0.0, chunk: int = 512
    ) -> Sample:
        """Draw ``context`` + ``running`` consecutive tokens.

        A document that is shorter is read to its end, with other documents before it. With
        probability ``distractors`` some chunks of other documents stand among the context's own.

        Raises:
            UsageError: no document is long enough for the running text.
        """
        own = self._stretch(rng, running)
        end = rng.randint(min(own.tokens, context + running), own.tokens) + own.start
        middle = end - running
        front = own.file.slice(max(own.start, middle - context), middle)
        if rng.random() < distractors and len(front) > chunk:
            parts = list(front.split(chunk))
            strange = rng.randint(1, len(parts) // 2)
            # the nearest text stays: it is what a reader has just read
            parts = parts[strange:]
            for _ in range(strange):
                other = self._filler(rng, chunk, running)
                parts.insert(rng.randint(0, len(parts) - 1), other)
            front = torch.cat(parts)[-context:]
        while len(front) < context:
            filler = self._filler(rng, context - len(front), running)
            front = torch.cat((filler, front))
        return Sample(front, (Running(own.file.slice(middle, end)),))

    def draw_along(self, rng: Random, context: int, running: int, chunk: int, texts: int) -> Sample:
        """Draw consecutive tokens, and ``texts`` running texts along them.

        Each begins at the end of a chunk and sees the chunks before it, so one compression and one
        reading by a teacher serve them all. The last one follows the context.

        Raises:
            UsageError: no document is long enough for the running text.
        """
        whole = self.draw(rng, context, running)
        (last,) = whole.running
        ends = range(chunk, len(whole.context) - running + 1, chunk)
        inner = sorted(rng.sample(ends, min(texts - 1, len(ends))))
        along = [Running(whole.context[end : end + running], sees=end) for end in inner]
        along.append(Running(last.tokens, sees=len(whole.context)))
        return Sample(whole.context, tuple(along))

    def filler(self, rng: Random, tokens: int) -> Tensor:
        """Some other text of at most ``tokens`` tokens (at least one)."""
        return self._filler(rng, tokens, 1)

    def _filler(self, rng: Random, tokens: int, running: int) -> Tensor:
        other = self._stretch(rng, running)
        start = rng.randint(other.start, max(other.start, other.end - tokens))
        return other.file.slice(start, min(start + tokens, other.end))

    def _stretch(self, rng: Random, running: int) -> Stretch:
        stretches, bounds = self._table(running)
        return stretches[min(bisect_right(bounds, rng.random() * bounds[-1]), len(bounds) - 1)]

    @lru_cache(maxsize=16)  # noqa: B019  one sampler per run
    def _table(self, running: int) -> tuple[list[Stretch], list[float]]:
        """Stretches that hold ``running`` tokens after a first one, and their summed weights."""
        stretches: list[Stretch] = []
        weights: list[float] = []
        for source, documents in self._documents:
            for stretch in _pack(source.file, documents, 2 * running):
                if stretch.tokens > running:
                    stretches.append(stretch)
                    weights.append(source.weight * stretch.tokens)
        if not stretches:
            raise UsageError(
                f"no {self._kind} document has more than {running} tokens (the longest: "
                f"{self.longest()}); give longer documents, or lower running_tokens in the recipe"
            )
        return stretches, list(accumulate(weights))


def _pack(file: TokenFile, documents: Sequence[TokenisedDocument], short: int) -> list[Stretch]:
    """Documents as stretches; neighbours shorter than ``short`` are joined until they are not."""
    packed: list[Stretch] = []
    for document in documents:
        last = packed[-1] if packed else None
        near = last is not None and document.start - last.end <= 2  # an end-of-text token between
        if last is not None and near and last.tokens < short and document.tokens < short:
            packed[-1] = Stretch(file, last.start, document.end)
        else:
            packed.append(Stretch(file, document.start, document.end))
    return packed
