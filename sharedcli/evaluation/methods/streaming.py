"""StreamingLLM over the whole document (see ``baselines/streams.py``)."""

from __future__ import annotations

import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt
from sharedcli.baselines.streams import SinkStream
from sharedcli.evaluation.methods.contract import Context, Method, Opened


class Streaming(Method):
    """All of the document is read; the cache keeps its first and its latest tokens."""

    name = "streaming"
    about = "StreamingLLM: four sinks and a sliding window over the whole document"

    def continue_text(self, context: Context, running: Tensor) -> Opened:
        """As ``Method.continue_text``."""
        stream, count = self._stream(), len(context.tokens)
        return Opened(stream, context.tokens, context_tokens=count)

    def ask(self, context: Context, question: str, max_tokens: int) -> Opened:
        """As ``Method.ask``; document and question are one prompt that streams through."""
        count = len(context.tokens)
        excerpt = Excerpt(context.document.title, context.text)
        prompt, _ = self.bench.prompt(question, [excerpt], 2 * count + self.bench.window)
        return Opened(self._stream(), torch.as_tensor(prompt), context_tokens=count)

    def _stream(self) -> SinkStream:
        return SinkStream(self.bench.model.shared, min(self.bench.stream_window, self.bench.window))
