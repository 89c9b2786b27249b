"""One document on its way into the store: passages are encoded and chunks compressed in threads.

    passages -> sentence vectors
                                   in order -> DocumentWriter
    chunks -> slots -> slot format

What computes runs in ``WorkerThreads``; the caller's thread hashes, writes and waits for the disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sharedcli.model.devices import guard_memory
from sharedcli.store.identity import RECOMPUTE
from sharedcli.store.quantize import Encoded, encode
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.writer import SUMMARIES, DocumentWriter
from sharedcli.tree.context_tree import ContextTree, Node

if TYPE_CHECKING:
    from torch import Tensor

    from sharedcli.engine.cutting import CutDocument
    from sharedcli.engine.threads import WorkerThreads
    from sharedcli.model.compressor import Compressor
    from sharedcli.model.node_slots import ChunkSlots
    from sharedcli.retrieve.embedding import SentenceEncoder

BATCH_TOKENS = 2048
"""Tokens that a thread compresses at a time, at most: the weights are read once for all of them,
and their activations still fit into the processor's cache."""

_PASSAGES = 64
"""Encoded at a time at most: enough to sort their windows by length."""

EncodedChunk = dict[str, Encoded]


class Computing:
    """A document whose passages are encoded and whose chunks are compressed.

    Args:
        cut: the document.
        tree: its context tree, of one chunk at least.
        threads: compute.
        compressor, encoder: with what; without an encoder passages get no vectors.
        slot_format: of the store.
    """

    def __init__(
        self,
        cut: CutDocument,
        tree: ContextTree,
        *,
        threads: WorkerThreads,
        compressor: Compressor,
        encoder: SentenceEncoder | None,
        slot_format: str,
    ) -> None:
        self.cut = cut
        self.tree = tree.shared_among(threads.count)
        self.is_short = len(list(self.tree.strips(range(self.tree.chunks)))) <= threads.count
        self._batches = list(batches(self.tree))
        tokens = torch.from_numpy(cut.token_ids.astype(np.int64))
        self._vectors = _no_vectors(cut, encoder) if encoder else None
        self._encoding: list[Callable[[], int]] = []
        if encoder is not None and self._vectors is not None:
            self._encoding = _encoding(cut, encoder, self._vectors, threads.count)
        compressing = (
            partial(_compressed, compressor, tokens, self.tree, chunks, slot_format)
            for chunks in self._batches
        )
        tasks: Iterator[Callable[[], Any]] = chain(self._encoding, compressing)
        self._results = threads.ordered(tasks)

    def begin(self) -> None:
        """Let threads that have nothing else to do begin before ``write`` is called."""
        self._results.begin()

    def write(
        self, writer: DocumentWriter, on_passages: Callable[[int, int], None]
    ) -> Iterator[int]:
        """Put passages and chunks into ``writer``; yield the tokens done, first 0."""
        for _ in self._encoding:
            on_passages(next(self._results), len(self.cut.passages))
        writer.put_passages(self.cut.passages, self._vectors)
        yield 0
        for chunks, encoded in zip(self._batches, self._results, strict=True):
            for chunk, tensors in zip(chunks, encoded, strict=True):
                root = self.tree.root(chunk)
                writer.put_encoded(chunk, _tokens(self.cut, root), tensors)
            yield root.end

    def close(self) -> None:
        """End what is under way; to be called if ``write`` was left before its end."""
        self._results.close()


def _tokens(cut: CutDocument, root: Node) -> ChunkTokens:
    span = slice(root.start, root.end)
    return ChunkTokens(root.start, cut.token_ids[span], cut.char_spans[span])


def _no_vectors(cut: CutDocument, encoder: SentenceEncoder) -> NDArray[np.float16]:
    """Room for the vectors of all passages.

    One array from the beginning: what is kept of each task, put down between its large temporary
    tensors, would keep the allocator from ever giving those back.
    """
    return np.zeros((len(cut.passages), encoder.passage_size), np.float16)


def _encoding(
    cut: CutDocument, encoder: SentenceEncoder, vectors: NDArray[np.float16], workers: int
) -> list[Callable[[], int]]:
    """Tasks that fill ``vectors``; each returns how many passages are done when it is."""
    count = len(cut.passages)
    # as much for all workers, so that none waits for another
    rounds = math.ceil(count / (_PASSAGES * workers))
    step = max(1, math.ceil(count / max(1, rounds * workers)))

    def fill(first: int) -> int:
        last = min(first + step, count)
        texts = [
            cut.document.text[passage.start : passage.end] for passage in cut.passages[first:last]
        ]
        vectors[first:last] = encoder.encode_passages(texts)
        return last

    return [partial(fill, first) for first in range(0, count, step)]


def batches(tree: ContextTree) -> Iterator[list[int]]:
    """Chunks that are compressed together.

    Always the same of a tree: how many rows a product has may change its last bits, and on the same
    machine the same document should give the same bytes.
    """
    batch: list[int] = []
    tokens = 0
    for strip in tree.strips(range(tree.chunks)):
        more = tree.geometry.strip_lead + len(strip) * tree.geometry.chunk_tokens
        if batch and tokens + more > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch += strip
        tokens += more
    yield batch


def _compressed(
    compressor: Compressor,
    tokens: Tensor,
    tree: ContextTree,
    chunks: Sequence[int],
    slot_format: str,
) -> list[EncodedChunk]:
    if slot_format == RECOMPUTE:
        return [{} for _ in chunks]
    with guard_memory("compressing"):
        found = compressor.compress_stored(tokens, tree, chunks)
        return [stored_tensors(slots, slot_format) for slots in found]


def stored_tensors(slots: ChunkSlots, slot_format: str) -> EncodedChunk:
    """Name and encode what is stored of a chunk: summaries, ``level<w>.keys`` and ``.values``."""
    tensors = {SUMMARIES: encode(slots.summaries.float(), "float16")}
    for level, (keys, values) in slots.levels.items():
        tensors[f"level{level}.keys"] = encode(keys, slot_format)
        tensors[f"level{level}.values"] = encode(values, slot_format)
    return tensors
