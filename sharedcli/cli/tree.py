"""``sharedcli tree``: a document's context tree, and which of its nodes a question opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import BUDGET, CACHE, OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.cli.wording import page_at
from sharedcli.errors import UsageError

if TYPE_CHECKING:
    from sharedcli.ingest.document import Document
    from sharedcli.retrieve.search import ChunkFrontier
    from sharedcli.store.records import ChunkSpan, DocumentRecord
    from sharedcli.tree.context_tree import ContextTree, Node


@dataclass(frozen=True)
class TreeView:
    """What is drawn: a document, its tree, and the nodes that a question opens with their scores.

    ``spans`` are the character spans of the nodes of the chunks in ``detailed``.
    """

    record: DocumentRecord
    document: Document
    tree: ContextTree
    chunks: list[ChunkSpan]
    detailed: tuple[int, ...]
    spans: dict[Node, tuple[int, int]]
    query: str | None = None
    opened: dict[Node, float] = field(default_factory=dict)


@takes(BUDGET, PLACES, CACHE, OUTPUT)
def tree(
    session: Session,
    doc: Annotated[str, typer.Argument(metavar="DOC", help="Id, path, title or glob.")],
    query: Annotated[
        str | None, typer.Option("--query", help="Mark the nodes that this question opens.")
    ] = None,
    chunk: Annotated[
        int | None, typer.Option("--chunk", metavar="N", min=0, help="Draw only this chunk.")
    ] = None,
) -> None:
    """Draw a document's context tree: chunks and nodes with their tokens, pages and ratios."""
    if query is not None and not query.strip():
        raise UsageError("the query is empty; give a question, or leave --query out")
    with session.activity as activity:
        activity.update("searching" if query else "reading the tree")
        view = look(session, doc, query, chunk)
    if session.json:
        session.emit(payload(view))
        return
    from sharedcli.cli.render_tree import draw_tree

    session.terminal.show(draw_tree(view))


def look(
    session: Session,
    doc: str,
    query: str | None,
    chunk: int | None,
    frontiers: Sequence[ChunkFrontier] | None = None,
) -> TreeView:
    """Collect what is to be drawn; ``frontiers`` if it is known what the query opens."""
    from sharedcli.engine.opening import stored_tree

    store = session.engine.store()
    record = store.resolve(doc, one=True)[0]
    shape = stored_tree(store, record)
    chunks = store.chunks(record.id)
    if chunk is not None and chunk >= len(chunks):
        raise UsageError(f"there is no chunk {chunk}; the document has 0 to {len(chunks) - 1}")
    opened: dict[Node, float] = {}
    if query is not None:
        if frontiers is None:
            frontiers = session.engine.open_nodes(query, [record.id])
        for frontier in frontiers:
            opened.update(zip(frontier.nodes, frontier.relevance, strict=True))
    detailed = sorted({node.chunk for node in opened}) if chunk is None else [chunk]
    spans: dict[Node, tuple[int, int]] = {}
    for index in detailed:
        tokens = store.chunk_tokens(record.id, index)
        for node in shape.nodes(index):
            spans[node] = tokens.char_span(node.start, node.end)
    document = store.load_document(record.id)
    return TreeView(record, document, shape, chunks, tuple(detailed), spans, query, opened)


def payload(view: TreeView) -> dict[str, Any]:
    """The object of ``tree --json``: all chunks, and the nodes of those that are looked into."""
    chunks = []
    for span in view.chunks:
        chunk = {
            "chunk": span.index,
            "tokens": [span.token_start, span.token_end],
            "pages": _pages(view.document, span.char_start, span.char_end),
        }
        if span.index in view.detailed:
            chunk["nodes"] = [_node(view, node) for node in view.tree.nodes(span.index)]
        chunks.append(chunk)
    return {
        "document": payloads.document(view.record),
        "geometry": view.tree.geometry.to_dict(),
        "query": view.query,
        "slots_opened": sum(view.tree.slots(node) for node in view.opened),
        "chunks": chunks,
    }


def _node(view: TreeView, node: Node) -> dict[str, Any]:
    slots = view.tree.slots(node)
    found = {
        "level": node.level,
        "index": node.index,
        "tokens": [node.start, node.end],
        "pages": _pages(view.document, *view.spans[node]),
        "slots": slots,
        "ratio": round(node.tokens / slots, 3),
    }
    if view.query is not None:
        found["opened"] = node in view.opened
        found["score"] = round(view.opened[node], 4) if node in view.opened else None
    return found


def _pages(document: Document, start: int, end: int) -> list[int]:
    last = page_at(document, max(start, end - 1)).number
    return [page_at(document, start).number, last]
