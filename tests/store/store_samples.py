"""Small documents with tensors, made from a seed, and a dump of all that a store answers."""

import hashlib
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sharedcli.ingest.document import Document, Page
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.records import DocumentRecord, Passage
from sharedcli.store.spans import ChunkTokens
from sharedcli.store.store import Store

WORDS = ["river", "stone", "harbour", "quartz", "ledger", "meadow", "falcon", "copper", "violet"]
CHUNK_TOKENS = 24


def identity(**changes: object) -> TreeIdentity:
    values: dict[str, object] = {
        "model": "acme/base",
        "weights": "w" * 64,
        "tokenizer": "t" * 64,
        "dtype": "float32",
        "injected_layers": 2,
        "geometry": {"chunk_tokens": CHUNK_TOKENS, "depth": 2, "levels": "per_node"},
        "slot_format": "bfloat16",
        "key_position": "unrotated",
    }
    return TreeIdentity(**(values | changes))  # type: ignore[arg-type]


def document(seed: int = 0, chunks: int = 3, source: str | None = None) -> Document:
    rng = random.Random(seed)
    words = [rng.choice(WORDS) for _ in range(CHUNK_TOKENS * chunks - chunks // 2)]
    text = f"canary{seed} naïve " + " ".join(words)
    middle = len(text) // 2
    return Document(
        source=source or f"/papers/report {seed}.pdf",
        title=f"Report {seed}",
        media_type="application/pdf",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
        pages=(Page(1, "i", 0, middle), Page(2, None, middle, len(text))),
        warnings=("1 page has no text layer",),
    )


def passages(doc: Document) -> list[Passage]:
    third = len(doc.text) // 3
    cuts = [0, third, 2 * third, len(doc.text)]
    return [Passage(i, doc.page_at(a).number, a, b) for i, (a, b) in enumerate(pairwise(cuts))]


def tokens(doc: Document) -> list[ChunkTokens]:
    """One token per word, cut into chunks."""
    spans, at = [], 0
    for word in doc.text.split(" "):
        spans.append((at, at + len(word)))
        at += len(word) + 1
    found = []
    for start in range(0, len(spans), CHUNK_TOKENS):
        part = np.array(spans[start : start + CHUNK_TOKENS], dtype=np.int32)
        found.append(ChunkTokens(start, np.arange(len(part), dtype=np.int32) + 7, part))
    return found


def tensors(seed: int, chunk: int) -> dict[str, Tensor]:
    """Keys and values [M, K, S, D] of two levels."""
    generator = torch.Generator().manual_seed(seed * 1000 + chunk)
    return {
        f"level{level}.{kind}": torch.randn(2, 2, 4 * level, 40, generator=generator)
        for level in (1, 2)
        for kind in ("keys", "values")
    }


def summaries(seed: int, chunk: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed * 1000 + chunk + 500)
    return torch.randn(6, 16, generator=generator)


def vectors(doc: Document, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(passages(doc)), 8))


def put(
    store: Store,
    seed: int = 0,
    chunks: int = 3,
    source: str | None = None,
    maker: TreeIdentity | None = None,
) -> DocumentRecord:
    """Write the document of ``seed`` and commit it."""
    doc = document(seed, chunks, source)
    with store.writer(doc, maker or identity(), file_size=len(doc.text), mtime_ns=seed) as writer:
        writer.put_passages(passages(doc), vectors(doc, seed))
        for index, part in enumerate(tokens(doc)):
            writer.put_chunk(index, part, tensors(seed, index), summaries(seed, index))
        return writer.commit()


def stored_passages(store: Store, doc_id: str) -> tuple[list[Passage], bytes]:
    """A document's passages and their vectors."""
    ((_, found, numbers),) = store.read_passages([doc_id])
    return list(found), numbers.tobytes()


def dump(store: Store) -> dict[str, object]:
    """Everything that the store answers, in comparable form. Raises if anything is damaged."""
    found: dict[str, object] = {"failures": store.failures()}
    for record in store.documents():
        found[record.id] = (
            record,
            store.identity(record.id),
            store.load_document(record.id),
            *stored_passages(store, record.id),
            [chunk_dump(store, record.id, span.index) for span in store.chunks(record.id)],
            [part.numpy().tobytes() for part in store.read_summaries(record.id)],
        )
    for word in WORDS:
        found[f"search {word}"] = [
            (hit.doc_id, hit.ordinal) for hit in store.search_text(f'"{word}"', limit=1000)
        ]
    return found


def chunk_dump(store: Store, doc_id: str, index: int) -> object:
    part = store.chunk_tokens(doc_id, index)
    found = store.read_chunk(doc_id, index)
    return (
        part.token_start,
        part.token_ids.tobytes(),
        part.char_spans.tobytes(),
        {name: (t.dtype, t.shape, t.float().numpy().tobytes()) for name, t in found.items()},
    )


def files(path: Path) -> dict[Path, bytes]:
    """All files of a store but the lock, by name."""
    return {
        file.relative_to(path): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "lock"
    }
