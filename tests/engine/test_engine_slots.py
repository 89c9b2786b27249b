"""What is read from the store is what the compressor made, in every geometry and format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_samples import BELL, LAMP, run_index
from torch import Tensor

from sharedcli.engine.compressing import batches
from sharedcli.engine.engine import Engine
from sharedcli.engine.loading import LoadedModel
from sharedcli.engine.opening import stored_tree
from sharedcli.engine.slots import read_context
from sharedcli.engine.threads import WorkerThreads
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.node_slots import assemble
from sharedcli.model.tokens import tokenize_text
from sharedcli.retrieve.search import ChunkFrontier
from sharedcli.settings import Settings
from sharedcli.store import reading
from sharedcli.tree.context_tree import ContextTree, Node
from sharedcli.tree.frontier import fixed_path, level_frontier, search_path
from sharedcli.tree.geometry import TreeGeometry

GEOMETRIES = list(product(("per_node", "nested"), ("first", "last", "mean", "pooled")))
CHUNK = 64


def text_of_tokens(tokenizer: Any, chunks: int, rest: int) -> str:
    """A text that is ``chunks`` full chunks and ``rest`` tokens, with the line ends of its page."""
    text = (LAMP + BELL) * (chunks + 1)
    while len(tokenize_text(tokenizer, text.rstrip() + "\n\n")[0]) != chunks * CHUNK + rest:
        text = text[:-1]
    return text.rstrip()


@dataclass(frozen=True)
class Library:
    """Two documents, with what is needed to compress them again."""

    engine: Engine
    model: LoadedModel
    trees: dict[str, ContextTree]
    tokens: dict[str, Tensor]

    def own(self, frontiers: Sequence[ChunkFrontier]) -> CompressedKV:
        """The same slots, straight from the compressor."""
        parts = []
        for doc_id, tree in self.trees.items():
            chosen = [frontier for frontier in frontiers if frontier.doc_id == doc_id]
            compress = partial(self.model.indexer.compress_chunks, self.tokens[doc_id], tree)
            with WorkerThreads(parallel=True) as threads:  # the same batches give the same bits
                parts_of_it = threads.ordered(partial(compress, chunks) for chunks in batches(tree))
                slots = {one.node: one for part in parts_of_it for chunk in part for one in chunk}
            parts.append(assemble([[slots[node] for node in one.nodes] for one in chosen]))
        return CompressedKV.cat(parts)

    def read(self, frontiers: Sequence[ChunkFrontier]) -> CompressedKV:
        return read_context(self.engine.store(), frontiers, self.trees, torch.float32)


@pytest.fixture
def library_of(
    settings_for: Callable[..., Settings],
    adapter_folder: Callable[..., str],
    tiny_base: Callable[..., Any],
    tmp_path: Path,
) -> Iterator[Callable[..., Library]]:
    opened: list[Engine] = []

    def make(levels: str, choice: str, slot_format: str = "float32") -> Library:
        geometry = TreeGeometry(CHUNK, 2, 4, levels, choice)  # type: ignore[arg-type]
        tokenizer = tiny_base("llama").tokenizer
        names = {"a.txt": (2, 1), "b.txt": (1, 11)}
        for name, (chunks, rest) in names.items():
            (tmp_path / name).write_text(text_of_tokens(tokenizer, chunks, rest), "utf-8")
        engine = Engine(
            settings_for(
                adapter=adapter_folder(geometry=geometry),
                chunk_tokens=None,
                depth=None,
                slots_per_node=None,
                slot_format=slot_format,
            )
        )
        opened.append(engine)
        run_index(engine, *(tmp_path / name for name in names))
        records = engine.documents()
        assert [record.tokens for record in records] == [2 * CHUNK + 1, CHUNK + 11]
        tokens = {
            record.id: torch.from_numpy(
                tokenize_text(tokenizer, engine.store().load_document(record.id).text)[0]
            ).long()
            for record in records
        }
        trees = {record.id: stored_tree(engine.store(), record) for record in records}
        assert {tree.geometry for tree in trees.values()} == {geometry}
        return Library(engine, engine.model(), trees, tokens)

    yield make
    for engine in opened:
        engine.close()


def _frontiers(trees: dict[str, ContextTree]) -> list[ChunkFrontier]:
    """Every chunk of every document but the second, each opened in another way."""
    ways: list[Callable[[ContextTree, int], tuple[Node, ...]]] = [
        fixed_path,
        lambda tree, chunk: level_frontier(tree, chunk, 1),
        lambda tree, chunk: search_path(tree, chunk, lambda node: -node.start),
        lambda tree, chunk: level_frontier(tree, chunk, 2),
    ]
    found = []
    for doc_id, tree in trees.items():
        for chunk in range(tree.chunks):
            nodes = ways[len(found) % len(ways)](tree, chunk)
            found.append(ChunkFrontier(doc_id, chunk, nodes, (1.0,) * len(nodes)))
    return [one for at, one in enumerate(found) if at != 1]


@pytest.mark.parametrize(("levels", "choice"), GEOMETRIES)
def test_read_slots_are_the_compressors_bit_for_bit(
    library_of: Callable[..., Library], levels: str, choice: str
) -> None:
    library = library_of(levels, choice)
    frontiers = _frontiers(library.trees)
    read, own = library.read(frontiers), library.own(frontiers)
    for field in fields(CompressedKV):
        ours, theirs = getattr(read, field.name), getattr(own, field.name)
        if field.name != "valid":
            assert torch.equal(ours, theirs), field.name
    # Chunks are numbered on over documents, and the documents' places do not overlap.
    sizes = [one.slots(library.trees[one.doc_id]) for one in frontiers]
    numbers = [number for number, size in enumerate(sizes) for _ in range(size)]
    assert read.chunk[0].tolist() == numbers
    assert read.chunks.tolist() == [len(frontiers)]
    places = read.place[0].tolist()
    assert len(set(places)) == len(places)
    assert places == sorted(places)
    assert places[-1] < int(read.tokens)


@pytest.mark.parametrize(("levels", "choice"), GEOMETRIES)
def test_the_online_compressor_agrees(
    library_of: Callable[..., Library], levels: str, choice: str
) -> None:
    """The way that training compresses, node by node: other batches, so other rounding."""
    library = library_of(levels, choice)
    (doc_id, tree), *_ = library.trees.items()
    frontiers = [one for one in _frontiers(library.trees) if one.doc_id == doc_id]
    with torch.inference_mode():
        online = library.model.compressor.compress_frontiers(
            [library.tokens[doc_id]], [tree], [[one.nodes for one in frontiers]]
        )
    read = library.read(frontiers)
    torch.testing.assert_close(read.keys, online.keys, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(read.values, online.values, rtol=1e-4, atol=1e-4)
    for name in ("chunk", "local", "place", "chunks", "tokens"):
        assert torch.equal(getattr(read, name), getattr(online, name)), name


@pytest.mark.parametrize("levels", ["per_node", "nested"])
@pytest.mark.parametrize(("slot_format", "largest"), [("int8", 127), ("int4", 7)])
def test_quantised_slots_are_within_half_a_step(
    library_of: Callable[..., Library], levels: str, slot_format: str, largest: int
) -> None:
    """A step is at most the largest magnitude that is stored, over the largest code."""
    library = library_of(levels, "mean", slot_format)
    frontiers = _frontiers(library.trees)
    read, own = library.read(frontiers), library.own(frontiers)
    everything = library.own(
        [
            ChunkFrontier(doc_id, chunk, tree.level(chunk, level), (1.0,))
            for level in (1, 2)
            for doc_id, tree in library.trees.items()
            for chunk in range(tree.chunks)
        ]
    )
    for name in ("keys", "values"):
        ours, theirs = getattr(read, name), getattr(own, name)
        step = getattr(everything, name).abs().amax((1, 2, 3, 4)) / largest * (1 + 2**-10)
        error = (ours - theirs).abs().amax((1, 2, 3, 4))
        assert (error <= step / 2 + 1e-6).all()
        assert error.max() > 0
    assert torch.equal(read.place, own.place)


def test_only_the_levels_of_the_chosen_nodes_are_read(
    library_of: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = library_of("per_node", "first")
    (doc_id, tree), *_ = library.trees.items()
    asked: list[tuple[str, int, list[str]]] = []
    real = reading.read_tensors

    def watched(blobs: Any, blob: Any, doc: str, chunk: int, directory: Any, **rest: Any) -> Any:
        asked.append((doc, chunk, sorted(directory)))
        return real(blobs, blob, doc, chunk, directory, **rest)

    monkeypatch.setattr(reading, "read_tensors", watched)
    coarse, path = tree.level(1, 1), fixed_path(tree, 0)
    library.read([ChunkFrontier(doc_id, 1, coarse, (1.0,) * 2)])
    assert asked == [(doc_id, 1, ["level1.keys", "level1.values"])]
    asked.clear()
    library.read([ChunkFrontier(doc_id, 0, path, (1.0,) * 3)])
    both = ["level1.keys", "level1.values", "level2.keys", "level2.values"]
    assert asked == [(doc_id, 0, both)]


def test_nested_levels_store_and_read_the_deepest_only(
    library_of: Callable[..., Library],
) -> None:
    library = library_of("nested", "first")
    (doc_id, tree), *_ = library.trees.items()
    kept = library.engine.store().read_chunk(doc_id, 0)
    assert sorted(kept) == ["level2.keys", "level2.values", "summaries"]
    read = library.read([ChunkFrontier(doc_id, 0, tree.level(0, 1), (1.0,) * 2)])
    assert read.slots == 8


def test_slots_come_in_the_base_s_number_format(library_of: Callable[..., Library]) -> None:
    library = library_of("per_node", "first", "int8")
    frontiers = _frontiers(library.trees)
    store = library.engine.store()
    read = read_context(store, frontiers, library.trees, torch.bfloat16)
    assert read.keys.dtype == read.values.dtype == torch.bfloat16
