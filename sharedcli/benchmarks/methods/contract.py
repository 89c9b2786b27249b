"""The contract of all methods: read the context, then answer a prompt token by token.

Nothing but the method differs: base, dtype, context tokens, prompt, number of answer tokens and
greedy choice are the same, and no method may stop early.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from sharedcli.baselines.streams import CachedStream, Stream
from sharedcli.benchmarks.sample import Sample
from sharedcli.benchmarks.work import Work
from sharedcli.engine.compressing import BATCH_TOKENS
from sharedcli.engine.threads import worker_count
from sharedcli.measuring.parameters import Parameters
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.compressor_layer import ROWS
from sharedcli.model.decoder import Decoder
from sharedcli.model.injected import InjectedKV
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.tree.context_tree import ContextTree

if TYPE_CHECKING:
    from sharedcli.engine.loading import LoadedModel
    from sharedcli.settings import Settings

Answering = Callable[[Tensor, int], Iterator[int]]
"""Yields so many token ids that continue a prompt [T]."""

NEVER: frozenset[int] = frozenset()
"""Stop tokens of a benchmark: none, so that all methods decode equally long."""


@dataclass(frozen=True)
class Bench:
    """What methods work with.

    Attributes:
        model: one base for all of them, with the adapter of SharedLLM.
        settings: geometry, budget, slot format, places.
        stream_window: tokens in StreamingLLM's cache, sinks included.
        stream_block: tokens that StreamingLLM reads at a time.
        forward_only: decode with the base's own forward pass in every method, also in those that
            the product's ``Decoder`` can run.
        stores: folder of the store of each context length.
    """

    model: LoadedModel
    settings: Settings
    stream_window: int = 2048
    stream_block: int = 512
    forward_only: bool = False
    stores: dict[int, Path] = field(default_factory=dict)

    @cached_property
    def plain(self) -> SharedLLM:
        """The same base with nothing attached that acts: what baselines run."""
        config = AdapterConfig(form="joint", injected_layers=0, summary_layer=0)
        return SharedLLM(self.model.base.model, Adapter(config, self.model.base.model))

    @cached_property
    def counts(self) -> Parameters:
        """Parameter counts of base and adapter."""
        return Parameters.of(self.model.base.config, self.model.shared.adapter)

    @property
    def value(self) -> int:
        """Bytes of one value in the base's number format."""
        return self.model.base.dtype.itemsize

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.model.base.device


class Method(ABC):
    """One way to answer over a context."""

    name: ClassVar[str]
    about: ClassVar[str]
    caveat: ClassVar[str] = ""
    stored: ClassVar[bool] = False
    """Whether it reads a store, so that the context must be indexed before."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.slots = 0

    def refuses(self, tokens: int, running: int) -> str:
        """Why it cannot take so many context and running tokens; "" if it can."""
        return ""

    @abstractmethod
    def read(self, sample: Sample) -> Answering:
        """Process the context, and return what answers. Sets ``slots``."""

    @abstractmethod
    def work(self, tokens: int, prompt: int, answer: int) -> tuple[Work, Work, Work]:
        """What context, prompt and answer take at least."""

    @abstractmethod
    def memory(self, tokens: int, running: int) -> int:
        """Estimated bytes at the peak, beyond base and libraries."""


def stream_tokens(stream: Stream, prompt: Tensor, count: int) -> Iterator[int]:
    """Yield ``count`` greedy tokens that continue ``prompt`` [T] on a stream."""
    logits = stream.read(prompt)[-1]
    for done in range(1, count + 1):
        token = int(logits.argmax())
        yield token
        if done < count:
            logits = stream.read(torch.tensor([token]))[-1]


def decode(bench: Bench, model: SharedLLM, injected: InjectedKV | None, read: Tensor) -> Answering:
    """Begin a running text with ``read`` [T], which may be empty, on the product's decoder."""
    if bench.forward_only:
        stream = CachedStream(model, injected, "decoder")
        if len(read):
            stream.read(read)
        return partial(stream_tokens, stream)
    decoder = Decoder(model, injected)
    if len(read):
        decoder.read(read)
    return lambda prompt, count: decoder.generate(prompt, NEVER, count)


def activation_bytes(bench: Bench, tokens: int, in_mlp: int | None = None) -> int:
    """Estimated transient bytes of a pass over ``tokens``: states, attention and MLP of a layer.

    ``in_mlp``: tokens that are in an MLP at a time; None for all.
    """
    counts = bench.counts
    per_token = 5 * counts.width + 2 * counts.hidden + 2 * counts.cached
    inner = 3 * counts.inner * (tokens if in_mlp is None else min(tokens, in_mlp))
    return 2 * (tokens * per_token + inner) * bench.value  # results stand beside inputs


def compressing_bytes(bench: Bench, tokens: int) -> int:
    """Estimated transient bytes of a compressor's pass that keeps all keys and values.

    They are there four times: as collected, stacked, unrotated and chosen.
    """
    counts = bench.counts
    kept = 4 * tokens * counts.injected * counts.cached * bench.value
    return kept + activation_bytes(bench, tokens)


def indexing_bytes(bench: Bench, context: int) -> int:
    """Estimated transient bytes of indexing: a pass of the compressor in every thread."""
    geometry, indexer = bench.model.geometry(bench.settings), bench.model.indexer
    workers = worker_count(parallel=bench.model.merges)
    tree = ContextTree(context, geometry).shared_among(workers)
    chunks = -(-tree.chunks // tree.strip_count)
    strip = geometry.strip_lead + chunks * geometry.chunk_tokens
    at_once = min(max(1, BATCH_TOKENS // strip) * strip, context)
    if indexer.merged is None:
        making = compressing_bytes(bench, at_once)
    else:  # what is not stored is left out layer by layer
        rows = ROWS if bench.model.base.device.type == "cpu" else None
        making = activation_bytes(bench, at_once, rows)
    states = at_once * bench.counts.width * torch.float32.itemsize
    return workers * (making + states)


def opened_tokens(bench: Bench, budget: int) -> int:
    """Tokens read at once to make the slots of opened chunks that are not stored, roughly.

    A chunk that is opened takes the slots of a path at least.
    """
    geometry = bench.model.geometry(bench.settings)
    if geometry.deepest_stored == geometry.depth:
        return 0
    chunks = max(1.0, budget / geometry.path_slots)
    return int(min(bench.model.compressor.batch_tokens, chunks * geometry.read_tokens))
