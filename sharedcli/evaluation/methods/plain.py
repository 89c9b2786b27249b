"""The base by itself: no document, the ends of it, or all of it."""

from __future__ import annotations

import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt
from sharedcli.baselines.streams import CachedStream
from sharedcli.evaluation.methods.contract import Context, Method, Opened, UnfitError
from sharedcli.model.injected import Role

_EMPTY = torch.empty(0, dtype=torch.long)


class NoContext(Method):
    """The base without the document: what it knows or guesses."""

    name = "none"
    about = "the base without the document"
    takes = frozenset({"adapted"})

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        return Opened(_stream(self), _EMPTY)

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        prompt, _ = self.bench.prompt(question, [], self.bench.room(max_tokens))
        return Opened(_stream(self), prompt)


class Truncated(Method):
    """Head and tail of the document, as much as fits the window."""

    name = "truncate"
    about = "head and tail of the document, as much as fits the window"

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        tokens = context.tokens
        room = self.bench.window - len(running)
        if room < len(tokens):
            head, tail = _ends(room)
            tokens = torch.cat((tokens[:head], tokens[len(tokens) - tail :]))
        return Opened(CachedStream(self.bench.model.shared), tokens, context_tokens=len(tokens))

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        bench = self.bench
        limit = bench.room(max_tokens)
        count = len(context.tokens)
        bare, _ = bench.prompt(question, [Excerpt(context.document.title, "")], limit)
        room = limit - len(bare)
        for _ in range(8):  # cut text may need a few tokens more than it had
            head, tail = _ends(room) if room < count else (count, 0)
            text = context.span(0, head)
            if tail:
                text += "\n...\n" + context.span(count - tail, count)
            excerpt = Excerpt(context.document.title, text)
            prompt, _ = bench.prompt(question, [excerpt], 2 * limit + count)
            if len(prompt) <= limit:
                break
            room -= len(prompt) - limit
        return Opened(CachedStream(bench.model.shared), prompt, context_tokens=head + tail)


class Full(Method):
    """Full attention over the whole document; refuses what the window does not hold."""

    name = "full"
    about = "full attention over the whole document, up to the window"
    takes = frozenset({"adapted"})

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        tokens = context.tokens
        self._check(len(tokens) + len(running))
        return Opened(_stream(self), tokens, context_tokens=len(tokens))

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``."""
        count = len(context.tokens)
        self._check(count + max_tokens)
        excerpt = Excerpt(context.document.title, context.text)
        prompt, _ = self.bench.prompt(question, [excerpt], 2 * self.bench.window + count)
        self._check(len(prompt) + max_tokens)
        return Opened(_stream(self), prompt, context_tokens=count)

    def _check(self, tokens: int) -> None:
        if tokens > self.bench.window:
            raise UnfitError(f"{tokens} tokens exceed the window of {self.bench.window}")


def _stream(method: Method) -> CachedStream:
    """The plain base, or with ``@adapted`` the adapter's decoder with nothing injected."""
    role: Role | None = "decoder" if method.variant.adapted else None
    return CachedStream(method.bench.model.shared, role=role)


def _ends(room: int) -> tuple[int, int]:
    """Tokens of head and tail for a window with ``room``."""
    room = max(0, room)
    return room - room // 2, room // 2
