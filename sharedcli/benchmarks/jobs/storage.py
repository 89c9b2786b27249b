"""What slot formats and levels cost: bytes per token on disk, and nats of the text that follows.

Each window of text is indexed into a store as a document of its own and its slots are read back, so
that bytes and loss are those of the product. The reference is bfloat16 of the same levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from sharedcli.baselines.streams import CachedStream
from sharedcli.benchmarks.jobs.index import run
from sharedcli.benchmarks.opening import BenchEngine, describe, open_model
from sharedcli.benchmarks.plan import Plan, Tell
from sharedcli.benchmarks.sample import source_text
from sharedcli.engine.loading import LoadedModel
from sharedcli.engine.opening import stored_tree
from sharedcli.engine.slots import read_context
from sharedcli.errors import UsageError
from sharedcli.model.tokens import tokenize_text
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path

FORMATS = ("bfloat16", "int8", "int4", "recompute")
LEVELS = ("nested", "per_node")


@dataclass(frozen=True)
class Window:
    """Text to index, and the token ids [R] of what follows it."""

    text: str
    running: Tensor


def storage(
    plan: Plan, tell: Tell, *, files: list[str], context: int, running: int, windows: int
) -> dict[str, Any]:
    """Measure every format with every kind of levels.

    Args:
        plan: its store's folder is where stores are made.
        tell: told the progress.
        files: documents; the sample that ships with the package if there is none.
        context: tokens of a window that are compressed.
        running: tokens behind it whose loss counts.
        windows: of each document at most.
    """
    model = open_model(plan)
    texts = [source_text(file) for file in files] or [source_text(None)]
    cut = [w for text in texts for w in cut_windows(model, text, context, running, windows)]
    if not cut:
        raise UsageError(
            f"no document has {context + running:,} tokens; use a smaller --context or longer text"
        )
    folder = plan.settings.store.parent
    files_of = _write(cut, folder)
    anchors = [_logits(model, None, window.running) for window in cut]
    ways = [(levels, form) for levels in LEVELS for form in FORMATS]
    rows: list[dict[str, Any]] = []
    reference: list[Tensor] = []
    for done, (levels, form) in enumerate(ways):
        tell(done, len(ways), f"{form} {levels}")
        store = folder / f"store-{levels}-{form}"
        settings = replace(plan.settings, store=store, levels=levels, slot_format=form)
        row, logits = _measure(replace(plan, settings=settings), model, files_of, cut)
        reference = logits if form == FORMATS[0] else reference
        rows.append({**row, **compare(logits, reference, [w.running for w in cut])})
    losses = [_loss(logits, window.running) for logits, window in zip(anchors, cut, strict=True)]
    return {
        "methods": rows,
        "windows": len(cut),
        "loss_without_slots": sum(losses) / len(losses),
        "run": {**describe("storage", plan, model), "context": context, "running": running},
    }


def cut_windows(
    model: LoadedModel, text: str, context: int, running: int, windows: int
) -> list[Window]:
    """Cut up to so many windows out of a text, evenly spread."""
    ids, spans = tokenize_text(model.base.tokenizer, text)
    size = context + running
    count = min(windows, len(ids) // size)
    found = []
    for number in range(count):
        start = (len(ids) - size) * number // max(1, count - 1)
        middle = start + context
        inside = text[int(spans[start][0]) : int(spans[middle - 1][1])]
        follows = torch.from_numpy(ids[middle : middle + running].astype("int64"))
        found.append(Window(inside, follows))
    return found


def _write(windows: Sequence[Window], folder: Path) -> list[Path]:
    files = [folder / f"window-{number}.txt" for number in range(len(windows))]
    for file, window in zip(files, windows, strict=True):
        file.write_text(window.text, encoding="utf-8")
    return files


def _measure(
    plan: Plan, model: LoadedModel, files: Sequence[Path], windows: Sequence[Window]
) -> tuple[dict[str, Any], list[Tensor]]:
    """Index all windows; return bytes, and the logits of what follows each."""
    settings = plan.settings
    with BenchEngine(plan.settings, model) as engine:
        records = [run(engine, file, lambda _done, _total: None) for file in files]
        store = engine.store()
        logits = [
            _logits(model, _slots(store, record.id, model), window.running)
            for record, window in zip(records, windows, strict=True)
        ]
        tokens = sum(record.tokens for record in records)
        blobs = store.stats().blob_bytes
    trained_for = model.shared.config.geometry.levels
    caveat = "" if model.trained else "the adapter is not trained: losses say nothing"
    if model.trained and settings.levels != trained_for:
        caveat = f"the adapter was trained with {trained_for} levels"
    return {
        "method": f"{settings.slot_format} {settings.levels}",
        "slot_format": settings.slot_format,
        "levels": settings.levels,
        "bytes_per_token": sum(record.stored_bytes for record in records) / tokens,
        "slot_bytes_per_token": blobs / tokens,
        "caveat": caveat,
    }, logits


def _slots(store: Store, doc_id: str, model: LoadedModel) -> Any:
    """Slots of one path through each chunk, as the store gives them back."""
    tree = stored_tree(store, store.document(doc_id))
    kept = ContextTree(tree.tokens, tree.geometry.stored)
    frontiers = [
        ChunkFrontier(doc_id, chunk, nodes, (1.0,) * len(nodes))
        for chunk in range(tree.chunks)
        for nodes in (fixed_path(kept, chunk),)
    ]
    return read_context(store, frontiers, {doc_id: tree}, model.base.dtype, model.opener)


@torch.inference_mode()
def _logits(model: LoadedModel, slots: Any, running: Tensor) -> Tensor:
    """Logits [R - 1, V] of all running tokens but the first."""
    stream = CachedStream(model.shared, model.shared.prepare(slots), "decoder")
    return stream.read(running[:-1], len(running) - 1).cpu()


def _loss(logits: Tensor, running: Tensor) -> float:
    return float(cross_entropy(logits, running[1:]))


def compare(
    found: Sequence[Tensor], reference: Sequence[Tensor], running: Sequence[Tensor]
) -> dict[str, Any]:
    """Mean loss, what it is above the reference's, and the divergence from it, in nats per token.

    ``spread`` holds the smallest and largest increase and divergence over the windows.
    """
    losses = [_loss(one, tokens) for one, tokens in zip(found, running, strict=True)]
    before = [_loss(one, tokens) for one, tokens in zip(reference, running, strict=True)]
    rises = [after - old for after, old in zip(losses, before, strict=True)]
    apart = [
        float(
            kl_div(
                log_softmax(one, -1), log_softmax(old, -1), reduction="batchmean", log_target=True
            )
        )
        for one, old in zip(found, reference, strict=True)
    ]
    return {
        "loss": sum(losses) / len(losses),
        "loss_increase": sum(rises) / len(rises),
        "kl": sum(apart) / len(apart),
        "spread": {"loss_increase": [min(rises), max(rises)], "kl": [min(apart), max(apart)]},
    }
