"""``Answer``: an iterator of text that afterwards knows its sources, usage and timings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sharedcli.answer.attribution import holding, specifics, stating
from sharedcli.answer.citations import Citation
from sharedcli.answer.corrections import Correction

Ended = Literal["", "stop", "length", "repetition"]


@dataclass(frozen=True)
class OpenedChunk:
    """A chunk whose slots are injected: token counts per level ("1" is the coarsest)."""

    doc: str
    chunk: int
    score: float
    nodes: tuple[tuple[int, int], ...]
    """(level, index) of each node."""


@dataclass(frozen=True)
class Evidence:
    """What the decoder was given.

    Attributes:
        passages: verbatim passages in the prompt.
        slots: injected slots.
        context_tokens: tokens that the slots stand for.
        chunks: the chunks that they come from.
        note: why nothing was injected, or what else the user should know; "" if nothing.
    """

    passages: int
    slots: int
    context_tokens: int
    chunks: tuple[OpenedChunk, ...] = ()
    note: str = ""


@dataclass
class Usage:
    """Tokens: ``prompt_tokens`` in the decoder's window, ``answer_tokens`` produced so far.

    ``drafted_tokens`` were guessed ahead while decoding, ``accepted_tokens`` of them rightly.
    ``ended`` says why the answer ended: the model stopped ("stop"), it may have no more tokens
    ("length"), or it began to say again what it had said ("repetition"); "" until then.
    """

    prompt_tokens: int
    slots: int
    context_tokens: int
    answer_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    ended: Ended = ""


@dataclass
class Timings:
    """Seconds: loading, searching, reading slots, to the first piece of text, from the first token
    to the last, and in all. Text is there later than its first token where it is held back."""

    load: float = 0.0
    search: float = 0.0
    inject: float = 0.0
    first_token: float = 0.0
    decode: float = 0.0
    total: float = 0.0


@dataclass
class Answer:
    """The answer to one question. Iterate for its text; ``text`` holds what has come so far.

    The text is produced once: iterating again goes on where it was left.

    Attributes:
        question: as asked.
        found: False if the documents hold nothing relevant: then there is no text. Whether the
            decoder finds its answer there is known once the text has begun, or has ended without.
        sources: pages with evidence, best first.
        evidence: what the decoder was given.
        model: id of the base.
        adapter: "default", a folder, or "none".
        unstated: how probable the decoder finds it that what it was given does not state the
            answer; None before it began, or where it was not taught to tell.
        confidence: probability that the decoder gave the likeliest token where that was least; None
            before it began. The longer an answer, the lower.
        corrected: figures that tables have in another place, and what the text says instead.
    """

    question: str
    found: bool
    sources: tuple[Citation, ...]
    evidence: Evidence
    usage: Usage
    timings: Timings
    model: str
    adapter: str
    text: str = ""
    unstated: float | None = None
    confidence: float | None = None
    corrected: tuple[Correction, ...] = ()
    _pieces: Callable[[Answer], Iterator[str]] = field(default=lambda _: iter(()), repr=False)
    _started: float = field(default_factory=time.monotonic, repr=False)
    _running: Iterator[str] | None = field(default=None, init=False, repr=False, compare=False)

    def __iter__(self) -> Iterator[str]:
        if self._running is None:
            self._running = self._produce()
        return self._running

    def _produce(self) -> Iterator[str]:
        for piece in self._pieces(self):
            if not self.text:
                self.timings.first_token = time.monotonic() - self._started
            self.text += piece
            self.timings.total = time.monotonic() - self._started
            yield piece
        self.timings.total = time.monotonic() - self._started

    def refuse(self, why: str) -> None:
        """Say that the documents hold no answer, before any text has come."""
        self.found = False
        self.corrected = ()
        self.evidence = replace(self.evidence, note=why)

    @property
    def stated(self) -> tuple[bool, ...]:
        """For each source whether it says a sentence of the text word for word."""
        return stating(self.text, [source.around for source in self.sources])

    @property
    def held(self) -> tuple[tuple[str, ...], ...]:
        """For each source the figures and names of the text, not of the question, that it has."""
        wanted = specifics(self.text, self.question)
        return holding(wanted, [source.around for source in self.sources])

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Figures and names of the text, not of the question, that no source has."""
        held = {one for source in self.held for one in source}
        return tuple(one for one in specifics(self.text, self.question) if one not in held)

    def read(self) -> str:
        """Run to the end and return the whole text."""
        for _ in self:
            pass
        return self.text
