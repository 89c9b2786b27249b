"""Full attention: the base reads everything at once and keeps every key and value."""

from __future__ import annotations

from sharedcli.benchmarks.methods.contract import (
    Answering,
    Method,
    activation_bytes,
    decode,
)
from sharedcli.benchmarks.sample import Sample
from sharedcli.benchmarks.work import Read, Work


class Full(Method):
    """The plain base; refuses what its window does not hold."""

    name = "full"
    about = "full attention over the whole context, up to the window"

    def refuses(self, tokens: int, running: int) -> str:
        """As ``Method.refuses``."""
        window = self.bench.model.base.window
        if tokens + running <= window:
            return ""
        return f"{tokens + running:,} tokens exceed the model's window of {window:,}"

    def read(self, sample: Sample) -> Answering:
        """As ``Method.read``."""
        return decode(self.bench, self.bench.plain, None, sample.tokens)

    def work(self, tokens: int, prompt: int, answer: int) -> tuple[Work, Work, Work]:
        """As ``Method.work``."""
        read = Read(self.bench.counts, self.bench.value)
        return (
            read.forward(tokens, 0),
            read.forward(prompt, tokens),
            read.decode(answer, tokens + prompt),
        )

    def memory(self, tokens: int, running: int) -> int:
        """As ``Method.memory``."""
        counts = self.bench.counts
        cache = (tokens + running) * counts.layers * counts.cached * self.bench.value
        # the cache of a layer is copied when it grows
        return cache + cache // counts.layers + activation_bytes(self.bench, tokens)
