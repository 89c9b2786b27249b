"""CEPE's structure (``baselines/encoder_decoder.py``): an encoder beside, read by every layer."""

from __future__ import annotations

from functools import partial

import torch

from sharedcli.baselines.encoder_decoder import BATCH as CHUNKS_AT_ONCE
from sharedcli.baselines.encoder_decoder import CHUNK, ChunkEncoder, CrossStream, cross_reads
from sharedcli.benchmarks.methods.contract import (
    Answering,
    Bench,
    Method,
    activation_bytes,
    stream_tokens,
)
from sharedcli.benchmarks.sample import Sample
from sharedcli.benchmarks.work import Read, Work


class EncoderDecoder(Method):
    """CEPE's structure, untrained: its time and memory are real, its answers are not."""

    name = "encoder-decoder"
    about = "CEPE's structure, untrained: its costs are real"
    caveat = "CEPE's structure without its training: time and memory are real, answers are not"

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._encoder = ChunkEncoder(bench.model.base)
        self._crosses = cross_reads(bench.model.base, self._encoder.size)

    @torch.inference_mode()
    def read(self, sample: Sample) -> Answering:
        """As ``Method.read``."""
        stream = CrossStream(self.bench.plain, self._crosses, self._encoder(sample.tokens))
        return partial(stream_tokens, stream)

    def work(self, tokens: int, prompt: int, answer: int) -> tuple[Work, Work, Work]:
        """As ``Method.work``."""
        counts, value, size = self.bench.counts, self.bench.value, self._encoder.size
        project = counts.width * size.width
        keep = counts.layers * size.width * counts.cached
        full, rest = divmod(tokens, CHUNK)
        pairs = size.layers * (full * CHUNK**2 + rest**2)
        passes = -(-tokens // (CHUNK * CHUNKS_AT_ONCE))
        context = Work(
            2 * tokens * (project + size.parameters + keep) + 4 * size.width * pairs,
            value * (passes * (project + size.parameters) + keep)
            + value * tokens * (2 * size.width + counts.layers * counts.cached),
        )
        crosses = counts.layers * 2 * counts.width * counts.hidden
        read = Read(counts, value, read_everywhere=tokens, more=crosses)
        return context, read.forward(prompt, 0), read.decode(answer, prompt)

    def memory(self, tokens: int, running: int) -> int:
        """As ``Method.memory``: keys and values of every token in every layer, and the states."""
        counts, size, value = self.bench.counts, self._encoder.size, self.bench.value
        own = sum(p.numel() for p in (*self._encoder.parameters(), *self._crosses.parameters()))
        kept = tokens * counts.layers * counts.cached + (tokens * 2) * size.width
        at_once = min(tokens, CHUNK * CHUNKS_AT_ONCE) * 12 * size.width
        return value * (own + kept + at_once) + activation_bytes(self.bench, running)
