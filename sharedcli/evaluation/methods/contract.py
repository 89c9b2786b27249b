"""The contract of all methods: a context and what is asked of it become a stream and a prompt.

A method sees the whole context and decides what of it the base gets: tokens in the window, slots,
a cache that forgets. Two uses: ``continue_text`` (perplexity) and ``ask`` (questions).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt, build_prompt
from sharedcli.answer.verdict import Verdict
from sharedcli.baselines.streams import Stream
from sharedcli.errors import UsageError
from sharedcli.evaluation.memory_index import MemoryIndex
from sharedcli.evaluation.methods.slots import SlotCache
from sharedcli.evaluation.methods.variants import PLAIN, Variant
from sharedcli.ingest.document import Document, Page
from sharedcli.model.tokens import tokenize_text

if TYPE_CHECKING:
    from sharedcli.engine.loading import LoadedModel
    from sharedcli.retrieve.embedding import SentenceEncoder
    from sharedcli.settings import Settings
    from sharedcli.tree.geometry import TreeGeometry


class UnfitError(Exception):
    """The method cannot take this context; the message says why. The item counts as skipped."""


@dataclass(frozen=True)
class Workbench:
    """What methods work with: one base for all of them.

    Attributes:
        model: base and adapter.
        settings: budget, passages, max_tokens, geometry.
        encoder: sentence encoder, or None.
        stream_window: tokens in StreamingLLM's cache.
        together: geometries in which the methods of a run take the fixed path of every chunk.
    """

    model: LoadedModel
    settings: Settings
    encoder: SentenceEncoder | None = None
    stream_window: int = 2048
    together: tuple[TreeGeometry, ...] = ()

    @property
    def tokenizer(self) -> Any:
        """The base's."""
        return self.model.base.tokenizer

    @property
    def window(self) -> int:
        """Tokens that the base was made to read at once."""
        return self.model.base.window

    def room(self, tokens: int) -> int:
        """Tokens of a prompt that leave ``tokens`` for the answer."""
        return self.window - tokens

    def plain(self, text: str) -> Tensor:
        """Token ids of text, [T]; what looks like a special token stays text."""
        return torch.from_numpy(tokenize_text(self.tokenizer, text)[0].astype(np.int64))

    def prompt(self, question: str, excerpts: Sequence[Excerpt], limit: int) -> tuple[Tensor, int]:
        """The product's prompt [T], and how many excerpts it holds.

        Raises:
            UnfitError: the question alone is too long.
        """
        try:
            made = build_prompt(self.tokenizer, question, excerpts, limit)
        except UsageError as error:
            raise UnfitError(str(error)) from error
        return torch.tensor(made.tokens), made.excerpts


class Context:
    """One document with what several methods need of it, each made once.

    Args:
        document: text and pages.
        bench: tokenizer and encoder.

    Attributes:
        evidence: token span of what answers the question, where a task has hidden it there.
        find_other: finds a context of another document, or None.
    """

    def __init__(self, document: Document, bench: Workbench) -> None:
        self.document = document
        self.evidence: tuple[int, int] | None = None
        self.find_other: Callable[[], Context | None] = lambda: None
        self._bench = bench
        self._slots: SlotCache | None = None

    @classmethod
    def of_text(cls, text: str, bench: Workbench, title: str = "document") -> Context:
        """A context of bare text: one page."""
        page = Page(1, None, 0, len(text))
        return cls(Document(title, title, "text/plain", "0" * 64, text, (page,), False), bench)

    @classmethod
    def of_tokens(
        cls, text: str, ids: Tensor, spans: np.ndarray, bench: Workbench, title: str
    ) -> Context:
        """A context of text that is tokenised already: ids [T], character spans [T, 2]."""
        context = cls.of_text(text, bench, title)
        context.__dict__["encoded"] = (ids, spans)
        return context

    @property
    def text(self) -> str:
        """The whole text."""
        return self.document.text

    @cached_property
    def encoded(self) -> tuple[Tensor, np.ndarray]:
        """Token ids [T] and their character spans [T, 2]."""
        ids, spans = tokenize_text(self._bench.tokenizer, self.text)
        return torch.from_numpy(ids.astype(np.int64)), spans

    @property
    def tokens(self) -> Tensor:
        """Token ids, [T]."""
        return self.encoded[0]

    @cached_property
    def lexical(self) -> MemoryIndex:
        """Its passages with full text only."""
        return MemoryIndex([self.document], None)

    @cached_property
    def index(self) -> MemoryIndex:
        """Its passages with full text and, if there is an encoder, vectors."""
        return MemoryIndex([self.document], self._bench.encoder)

    @cached_property
    def other(self) -> Context | None:
        """As long a context of another document."""
        return self.find_other()

    def slots(self, bench: Workbench) -> SlotCache:
        """Its compressed chunks, shared by all methods."""
        if self._slots is None:
            self._slots = SlotCache(
                self.tokens, bench.model.shared, bench.together, bench.model.indexer.merged
            )
        return self._slots

    def span(self, first: int, last: int) -> str:
        """Text of the tokens from ``first`` to before ``last``."""
        spans = self.encoded[1]
        if first >= last:
            return ""
        return self.text[int(spans[first][0]) : int(spans[last - 1][1])]


@dataclass(frozen=True)
class Opened:
    """A stream that is ready, and what it has to read before the text or the answer.

    Attributes:
        stream: unread, or with the context read.
        prompt: tokens [T] still to be read.
        slots: injected slots.
        context_tokens: tokens of the context that reach the base in some form.
        detail: more to keep in the record.
        saved: seconds of compression that another method or question has spent already.
        verdict: what tells that the answer is not stated; None where the decoder cannot.
        shown: texts of the passages in the prompt.
    """

    stream: Stream
    prompt: Tensor
    slots: int = 0
    context_tokens: int = 0
    detail: dict[str, Any] = field(default_factory=dict)
    saved: float = 0.0
    verdict: Verdict | None = None
    shown: tuple[str, ...] = ()


class Method(ABC):
    """One way to give a base a context that may be longer than its window."""

    name: ClassVar[str]
    about: ClassVar[str]
    """One line for the help and the reports."""

    takes: ClassVar[frozenset[str]] = frozenset()
    """Fields of ``Variant`` that may be set."""

    variant: Variant = PLAIN

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    @property
    def caveat(self) -> str:
        """What a reader of its figures must know; "" if nothing."""
        return ""

    def prepare(self, context: Context, *, asked: bool) -> None:  # noqa: B027 - most search nothing
        """Have a context indexed for search, if ``ask`` (or else ``continue_text``) searches it.

        That time counts towards nobody: several methods share it.
        """

    @abstractmethod
    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """Prepare for the text that follows the context.

        Args:
            context: what stands before.
            running: the text to come, [T]; only its length may be used.

        Raises:
            UnfitError: the context is too long for this method.
        """

    @abstractmethod
    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """Prepare to answer a question.

        Raises:
            UnfitError: the context is too long for this method.
        """
