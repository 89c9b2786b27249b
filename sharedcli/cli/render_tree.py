"""The context tree, drawn. Spans are shown with their last token: "tokens 0-1,023"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from sharedcli.cli.render import clean
from sharedcli.cli.wording import page_range, plural, ratio

if TYPE_CHECKING:
    from sharedcli.cli.tree import TreeView
    from sharedcli.store.records import ChunkSpan
    from sharedcli.tree.context_tree import Node

_FEW = 2
_SNIPPET = 44


def draw_tree(view: TreeView) -> Group:
    """Return the drawing: a heading, then one branch per chunk."""
    tree = Tree(_heading(view), guide_style="dim")
    for chunks in _runs(view):
        if chunks[0].index in view.detailed:
            _chunk(tree, view, chunks[0])
        elif view.detailed and len(chunks) > _FEW:
            first, last = chunks[0].index, chunks[-1].index
            hidden = view.query is None or any(n.chunk not in view.detailed for n in view.opened)
            what = "drawn" if hidden else "opened"
            tree.add(Text(f"chunks {first}–{last} not {what}", style="dim"))
        else:
            for chunk in chunks:
                tree.add(_chunk_line(view, chunk, dim=bool(view.detailed)))
    return Group(tree, *_legend(view))


def _runs(view: TreeView) -> Iterator[list[ChunkSpan]]:
    """Detailed chunks one by one, those between them together."""
    run: list[ChunkSpan] = []
    for chunk in view.chunks:
        if chunk.index not in view.detailed:
            run.append(chunk)
            continue
        if run:
            yield run
        yield [chunk]
        run = []
    if run:
        yield run


def _heading(view: TreeView) -> Text:
    record, geometry = view.record, view.tree.geometry
    ratios = [f"{geometry.ratio(level):g}" for level in range(1, geometry.depth + 1)]
    return Text.assemble(
        (clean(record.source, 200), "bold"),
        (
            f"\n{plural(record.tokens, 'token')} in {plural(record.chunks, 'chunk')} of up to "
            f"{geometry.chunk_tokens:,}; {plural(geometry.slots_per_node, 'slot')} per node; "
            f"{' → '.join(ratios)} tokens per slot from the coarsest level to the finest",
            "dim",
        ),
    )


def _chunk(tree: Tree, view: TreeView, chunk: ChunkSpan) -> None:
    branch = tree.add(_chunk_line(view, chunk))
    for half in view.tree.children(view.tree.root(chunk.index)):
        _node(branch, view, half)


def _node(branch: Tree, view: TreeView, node: Node) -> None:
    """Draw a node and what is below it; with a query nothing below an opened node."""
    is_opened = node in view.opened
    inside = branch.add(_node_line(view, node, is_opened))
    if is_opened:
        return
    for half in view.tree.children(node):
        _node(inside, view, half)


def _chunk_line(view: TreeView, chunk: ChunkSpan, dim: bool = False) -> Text:
    pages = page_range(view.document, chunk.char_start, chunk.char_end)
    last = view.chunks[-1]
    name = f"chunk {chunk.index}".ljust(len(f"chunk {last.index}"))
    span = _tokens(chunk.token_start, chunk.token_end).ljust(
        len(_tokens(last.token_start, last.token_start + 2))
    )
    line = Text(f"{name}  {span}  {pages}")
    if dim:
        line.stylize("dim")
        return line
    slots = sum(view.tree.slots(node) for node in view.opened if node.chunk == chunk.index)
    if slots:
        given = chunk.token_end - chunk.token_start
        line.append(f"  {plural(slots, 'slot')}, ratio {ratio(given, slots)}", style="cyan")
    return line


def _node_line(view: TreeView, node: Node, is_opened: bool) -> Text:
    start, end = view.spans[node]
    text = f"{_tokens(node.start, node.end)}  {page_range(view.document, start, end)}"
    grain = f"ratio {ratio(node.tokens, view.tree.slots(node))}"
    if view.query is None:
        return Text.assemble(f"level {node.level}  {text}  ", (grain, "cyan"))
    if not is_opened:
        return Text(f"○ {text}", style="dim")
    return Text.assemble(
        ("● ", "green"),
        f"{text}  ",
        (grain, "cyan"),
        f"  score {view.opened[node]:.2f}",
        (f"  “{_first_words(view, start, end)}”", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _first_words(view: TreeView, start: int, end: int) -> str:
    """The first whole words of a span."""
    text = view.document.text
    if start and not text[start - 1].isspace():  # a token may begin inside of a word
        inside = re.match(r"\S{0,40}", text[start:end])
        start += inside.end() if inside else 0
    return clean(text[start : min(end, start + 4 * _SNIPPET)], _SNIPPET)


def _tokens(start: int, end: int) -> str:
    return f"tokens {start:,}–{end - 1:,}" if end - start > 1 else f"token {start:,}"


def _legend(view: TreeView) -> list[Text]:
    if view.query is None:
        return []
    if not view.opened:
        return [Text("no node is opened: nothing in the document fits the question", "yellow")]
    slots = sum(view.tree.slots(node) for node in view.opened)
    tokens = sum(node.tokens for node in view.opened)
    chunks = len({node.chunk for node in view.opened})
    return [
        Text(
            f"● opened: {plural(len(view.opened), 'node')} of {plural(chunks, 'chunk')}, "
            f"{plural(slots, 'slot')} for {plural(tokens, 'token')} (ratio {ratio(tokens, slots)})",
            style="dim",
        )
    ]
