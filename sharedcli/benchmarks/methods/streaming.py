"""StreamingLLM (``baselines/streams.py``): sinks and a sliding window."""

from __future__ import annotations

from functools import partial

from sharedcli.baselines.streams import SinkStream
from sharedcli.benchmarks.methods.contract import Answering, Method, activation_bytes, stream_tokens
from sharedcli.benchmarks.sample import Sample
from sharedcli.benchmarks.work import Read, Work, total


class Streaming(Method):
    """All of the context is read in blocks; the cache keeps its first and latest tokens."""

    name = "streaming"
    about = "StreamingLLM: four sinks and a sliding window over the whole context"

    def read(self, sample: Sample) -> Answering:
        """As ``Method.read``."""
        stream = self._stream()
        stream.read(sample.tokens)
        return partial(stream_tokens, stream)

    def work(self, tokens: int, prompt: int, answer: int) -> tuple[Work, Work, Work]:
        """As ``Method.work``; putting keys at new places is not counted."""
        read = Read(self.bench.counts, self.bench.value)
        block, window = self._stream().block, self._window
        cached = 0

        def passes(count: int, at_once: int) -> Work:
            nonlocal cached
            parts = []
            for start in range(0, count, at_once):
                size = min(at_once, count - start)
                cached = min(cached, window - size)
                parts.append(read.forward(size, cached))
                cached += size
            return total(parts)

        return passes(tokens, block), passes(prompt, block), passes(answer - 1, 1)

    def memory(self, tokens: int, running: int) -> int:
        """As ``Method.memory``: keys twice (rotated, and unrotated in single precision)."""
        counts = self.bench.counts
        cached = min(tokens + running, self._window) * counts.layers * counts.cached
        kept = cached * (2 * self.bench.value + 4) // 2
        block = activation_bytes(self.bench, min(tokens, self.bench.stream_block))
        return cached * self.bench.value + kept + block

    @property
    def _window(self) -> int:
        return min(self.bench.stream_window, self.bench.model.base.window)

    def _stream(self) -> SinkStream:
        return SinkStream(self.bench.plain, self._window, block=self.bench.stream_block)
