"""One document on its way into the store: passages are encoded and chunks compressed in threads.

    passages -> sentence vectors
                                   in order -> DocumentWriter
    chunks -> slots -> slot format

What computes runs in ``WorkerThreads``; the caller's thread hashes, writes and waits for the disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
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

    from sharedcli.engine.ahead import CutDocument
    from sharedcli.engine.threads import WorkerThreads
    from sharedcli.model.compressor import ChunkSlots, Compressor
    from sharedcli.retrieve.embedding import SentenceEncoder

BATCH_TOKENS = 2048
"""Tokens that a thread compresses at a time, at most: the weights are read once for all of them,
and their activations still fit into the processor's cache."""

_PASSAGES = 64
"""Encoded at a time at most: enough to sort their windows by length."""

EncodedChunk = dict[str, Encoded]


def write_document(
    writer: DocumentWriter,
    cut: CutDocument,
    tree: ContextTree,
    *,
    threads: WorkerThreads,
    compressor: Compressor,
    encoder: SentenceEncoder | None,
    on_passages: Callable[[int, int], None],
) -> Generator[int, None, None]:
    """Put a document's passages and chunks into ``writer``; yield the tokens done, first 0."""
    tree = tree.shared_among(threads.count)
    chosen = list(batches(tree))
    tokens = torch.from_numpy(cut.token_ids.astype(np.int64))
    vectors = _no_vectors(cut, encoder) if encoder else None
    encoding: list[Callable[[], int]] = []
    if encoder is not None and vectors is not None:
        encoding = _encoding(cut, encoder, vectors, threads.count)
    compressing = (
        partial(_compressed, compressor, tokens, tree, chunks, writer.slot_format)
        for chunks in chosen
    )
    tasks: Iterator[Callable[[], Any]] = chain(encoding, compressing)
    with closing(threads.ordered(tasks)) as results:
        for _ in encoding:
            on_passages(next(results), len(cut.passages))
        writer.put_passages(cut.passages, vectors)
        yield 0
        for chunks, encoded in zip(chosen, results, strict=True):
            for chunk, tensors in zip(chunks, encoded, strict=True):
                writer.put_encoded(chunk, _tokens(cut, tree.root(chunk)), tensors)
            yield tree.root(chunks[-1]).end


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
