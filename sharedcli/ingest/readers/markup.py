"""Text of an HTML tree as a reader would see it: what html and epub have in common.

Notable choices:
- The tree is walked with an explicit position, not by recursion: a page with a million nested
  elements must not end the process.
- A table row is one line with ``|`` between its cells, so that numbers stay with their row's name;
  a blank cell in a column of figures gets a dash (``table_cells``).
- Scripts, styles, templates and hidden elements hold no text for readers and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from sharedcli.ingest.readers.blank_cells import DASH
from sharedcli.ingest.readers.table_cells import TableCells
from sharedcli.ingest.reading import Section

_SKIPPED_TAGS = """
    script style template noscript iframe object embed svg math canvas audio video map datalist
    head title link meta
"""
_BLOCK_TAGS = """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset
    figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav
    ol optgroup option p pre section summary table tbody tfoot thead tr ul
"""
_SKIPPED = frozenset(_SKIPPED_TAGS.split())
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PARAGRAPHS = _HEADINGS | {"p", "pre", "blockquote", "table", "ul", "ol", "dl", "figure", "hr"}
_CELLS = frozenset({"td", "th"})
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")


class _Writer:
    """Collects text and turns the tree's structure into blanks, lines and sections."""

    def __init__(self) -> None:
        self.finished: list[Section] = []
        self._parts: list[str] = []
        self._label: str | None = None
        self._heading: list[str] | None = None
        self._pending = ""
        self._cell_depth = 0
        self._pre_depth = 0
        self._table: TableCells | None = None
        self._cell_begin = 0

    def text(self, text: str) -> None:
        if not self._pre_depth:
            text = _BLANKS.sub(" ", text)
            if text[:1] == " ":
                self._space(" ")
            text, trailing = text.strip(" "), text[-1:] == " "
        else:
            trailing = False
        if text:
            self._flush_pending()
            self._parts.append(text)
            if self._heading is not None:
                self._heading.append(text)
            if trailing:
                self._space(" ")

    def _space(self, space: str) -> None:
        # Of several separators in a row the strongest wins: blank line, line, cell, blank.
        rank = ("", " ", " | ", "\n", "\n\n")
        if rank.index(space) > rank.index(self._pending):
            self._pending = space

    def _flush_pending(self) -> None:
        if self._pending and self._parts:
            self._parts.append(self._pending)
            if self._heading:
                self._heading.append(" ")
        self._pending = ""

    def enter(self, tag: str) -> None:
        if tag in _HEADINGS and not self._cell_depth:
            self.end_section()
            self._heading = []
        elif tag in _CELLS:
            self._space(" | " if not self._pending.startswith("\n") else self._pending)
        self._block(tag)
        if tag == "br":
            self._space(" " if self._cell_depth or self._heading is not None else "\n")
        elif tag == "li" and not self._cell_depth:
            self._flush_pending()
            self._parts.append("- ")
        self._cell_depth += tag in _CELLS
        self._pre_depth += tag == "pre"
        if tag == "table":  # a table inside of another's cell is layout: nothing is known of it
            self._table = None if self._cell_depth else TableCells()
        elif tag == "tr" and self._table is not None:
            self._table.row()
        elif tag in _CELLS:
            self._cell_begin = len(self._parts)

    def leave(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag in _CELLS and self._table is not None:
            self._end_cell(self._table, attributes)
        elif tag == "table" and self._table is not None:
            for place, dashes in self._table.blank().items():
                self._parts[place] = f" | {DASH}" * dashes
            self._table = None
        self._cell_depth -= tag in _CELLS
        self._pre_depth -= tag == "pre"
        self._block(tag)
        if tag in _HEADINGS and self._heading is not None:
            label = "".join(self._heading).strip()
            self._heading = None
            self._label = label or None

    def _end_cell(self, table: TableCells, attributes: Mapping[str, str | None]) -> None:
        text = "".join(self._parts[self._cell_begin :]).strip(" |\n")
        if not text:
            self._parts.append("")  # where a dash may come
        columns, rows = (_number(attributes.get(name)) for name in ("colspan", "rowspan"))
        table.cell(text, len(self._parts) - 1, columns, rows)

    def _block(self, tag: str) -> None:
        if tag in _BLOCKS:
            blank_line = tag in _PARAGRAPHS and tag != "li"
            self._space(" " if self._cell_depth else "\n\n" if blank_line else "\n")

    def end_section(self) -> None:
        text = "".join(self._parts)
        if text.strip():
            self.finished.append(Section(text, self._label))
        self._parts.clear()
        self._pending = ""
        self._label = None
        if self._table is not None:  # the heading of a caption: the rows follow
            self._table = TableCells()


def sections_of(markup: str) -> tuple[list[Section], str | None]:
    """Return the visible text of an HTML document and the text of its ``title`` element.

    Every heading starts a section that carries it as label.

    Raises:
        MemoryError: the tree does not fit.
    """
    try:
        parser = LexborHTMLParser(markup)
    except SelectolaxError:
        # Every string is valid HTML to this parser: it gives up only for want of memory.
        raise MemoryError from None
    title_node = parser.css_first("head > title")
    title = _BLANKS.sub(" ", title_node.text()).strip() if title_node is not None else ""
    writer = _Writer()
    for node, entering in _walk(parser.body or parser.root):
        tag = node.tag or ""
        if node.is_text_node:
            writer.text(node.text_content or "")
        elif entering:
            writer.enter(tag)
        else:
            writer.leave(tag, node.attributes if tag in _CELLS else {})
    writer.end_section()
    return writer.finished, title or None


def _walk(root: LexborNode | None) -> Iterator[tuple[LexborNode, bool]]:
    """Yield visible elements as (node, True) and (node, False), texts as (node, True), in order."""
    node = root
    depth = 0
    while node is not None:
        child: LexborNode | None = None
        if node.is_text_node:
            yield node, True
        elif node.is_element_node and not _is_hidden(node):
            yield node, True
            child = node.first_child
            if child is None:
                yield node, False
        if child is not None:
            node, depth = child, depth + 1
            continue
        while node is not None and depth and node.next is None:
            node, depth = node.parent, depth - 1
            if node is not None:
                yield node, False
        node = node.next if node is not None and depth else None


def _number(value: str | None) -> int:
    """A span as the page gives it; 1 where it gives none, or nonsense."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 5 else 1


def _is_hidden(node: LexborNode) -> bool:
    if node.tag in _SKIPPED:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    # hidden="until-found" is hidden too; aria-hidden hides from screen readers only.
    return "hidden" in attributes or bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))
