"""Which nodes of which trees a question opens: from ranked passages to frontiers under a budget.

It reads spans and tokens of the store, no tensors, and needs no language model: ``tree --query``
shows what ``ask`` would open.
"""

from __future__ import annotations

from collections.abc import Sequence

from sharedcli.retrieve.rank import RankedPassage, scored_windows
from sharedcli.retrieve.search import ChunkFrontier, budgeted_frontiers, leaf_relevance
from sharedcli.settings import Settings
from sharedcli.store.records import DocumentRecord
from sharedcli.store.store import Store
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry

CHUNK_PASSAGES = 50
"""Best passages whose chunks may be opened."""


def unquoted(ranked: Sequence[RankedPassage], settings: Settings) -> Sequence[RankedPassage]:
    """The passages whose chunks are opened: those behind the quoted ones, unless told "always".

    Slots of what the prompt quotes already say nothing new, and small bases answer worse with them.
    """
    return ranked if settings.inject == "always" else ranked[settings.passages :]


def stored_tree(store: Store, record: DocumentRecord) -> ContextTree:
    """Return the tree of a stored document, in the geometry that it was made with."""
    geometry = TreeGeometry(**store.identity(record.id).geometry)  # type: ignore[arg-type]
    return ContextTree(record.tokens, geometry)


def open_frontiers(
    store: Store,
    ranked: Sequence[RankedPassage],
    records: Sequence[DocumentRecord],
    budget: int,
) -> tuple[list[ChunkFrontier], dict[str, ContextTree]]:
    """Spend ``budget`` slots on the chunks that hold the best of the ``ranked`` passages.

    Returns:
        One frontier per opened chunk, and the trees of the documents that have some, by id.
    """
    by_doc: dict[str, list[tuple[int, int, float]]] = {}
    texts: dict[str, str] = {}
    for hit in ranked[:CHUNK_PASSAGES]:
        if hit.doc_id not in texts:
            texts[hit.doc_id] = store.load_document(hit.doc_id).text
        by_doc.setdefault(hit.doc_id, []).extend(scored_windows(hit, texts[hit.doc_id]))
    trees = {record.id: stored_tree(store, record) for record in records if record.id in by_doc}
    relevance = {}
    for doc_id, spans in by_doc.items():
        for chunk in store.chunks(doc_id):
            near = [s for s in spans if s[0] < chunk.char_end and s[1] > chunk.char_start]
            if near:
                tokens = store.chunk_tokens(doc_id, chunk.index)
                tree = trees[doc_id]
                leaves = tree.level(chunk.index, tree.geometry.depth)
                spans_of = tokens.char_spans_from([leaf.start for leaf in leaves])
                relevance[doc_id, chunk.index] = leaf_relevance(spans_of, near)
    opened = {doc_id: trees[doc_id] for doc_id in by_doc}  # best first
    return budgeted_frontiers(opened, relevance, budget), trees
