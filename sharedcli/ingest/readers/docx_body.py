"""WordprocessingML events become paragraphs, table rows and sections (ISO 29500-1, chapter 17)."""

from __future__ import annotations

from sharedcli.ingest.reading import Section

_SKIPPED = frozenset(
    (
        "Fallback",  # the same text box again, for old programs
        "moveFrom",
        "del",
        "rPrChange",
        "pPrChange",
        "tblPrChange",
        "instrText",
    )
)
_OFF = frozenset({"0", "false", "off", "none"})
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


class _Paragraph:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.heading = False
        self.item = False


class BodyHandler:
    """Handles the events of a document, footnotes or endnotes part.

    Args:
        heading_styles: ids of the paragraph styles that start a section.
        label: label of the first section.
    """

    def __init__(self, heading_styles: frozenset[str], label: str | None) -> None:
        self._heading_styles = heading_styles
        self._label = label
        self._finished: list[Section] = []
        self._blocks: list[list[str]] = []  # lines: a table may have very many
        self._elements: list[str] = []
        # Text boxes put paragraphs inside of paragraphs, tables put tables inside of cells.
        self._paragraphs: list[_Paragraph] = []
        self._rows: list[list[str]] = []
        self._cells: list[list[str]] = []
        self._skip_depth = 0
        self._in_text = False
        self._hidden_run = False

    def take(self) -> list[Section]:
        """Return the sections that are complete and forget them."""
        finished, self._finished = self._finished, []
        return finished

    def end_section(self) -> None:
        """Close the current section."""
        text = "\n\n".join("\n".join(lines) for lines in self._blocks)
        if text.strip():
            self._finished.append(Section(text, self._label))
        self._blocks = []
        self._label = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        parent = self._elements[-1] if self._elements else ""
        self._elements.append(name)
        if self._skip_depth or name in _SKIPPED:
            self._skip_depth += 1
        elif name == "p":
            self._paragraphs.append(_Paragraph())
        elif name == "r":
            self._hidden_run = False
        elif name == "t":
            self._in_text = True
        elif name == "tr":
            self._rows.append([])
        elif name == "tc":
            self._cells.append([])
        elif parent == "r" and name in _BREAKS:
            self._write(_BREAKS[name])
        else:
            self._property(name, parent, attributes.get("val", ""))

    def _property(self, name: str, parent: str, value: str) -> None:
        if name == "vanish" and self._elements[-3:-1] == ["r", "rPr"]:
            self._hidden_run = value not in _OFF
        elif parent == "pPr" and self._paragraphs:
            paragraph = self._paragraphs[-1]
            if name == "pStyle":
                paragraph.heading = value in self._heading_styles
            elif name == "outlineLvl" and value.isdecimal() and int(value) < 9:
                paragraph.heading = True
            elif name == "numPr":
                paragraph.item = True

    def end(self, name: str) -> None:
        """An element ends."""
        self._elements.pop()
        if self._skip_depth:
            self._skip_depth -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif name == "tc" and self._cells:
            cell = " ".join(self._cells.pop())
            if self._rows:
                self._rows[-1].append(" ".join(cell.split()))
        elif name == "tr" and self._rows:
            self._end_row(" | ".join(self._rows.pop()))

    def text(self, data: str) -> None:
        """Character data."""
        if self._in_text and not self._skip_depth:
            self._write(data)

    def _write(self, text: str) -> None:
        if self._paragraphs and not self._hidden_run:
            self._paragraphs[-1].parts.append(text)

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.parts).strip()
        if not text:
            return
        if self._cells:
            self._cells[-1].append(text)
        elif paragraph.heading:
            self.end_section()
            self._label = " ".join(text.split())
            self._blocks.append([text])
        elif paragraph.item:
            self._append_line(f"- {text}", joins="- ")
        else:
            self._blocks.append([text])

    def _end_row(self, line: str) -> None:
        if not line.strip(" |"):
            return
        if self._cells:
            self._cells[-1].append(line)
        else:
            self._append_line(line, joins="")

    def _append_line(self, line: str, joins: str) -> None:
        """Add a row or list item to the block above if that is of the same kind."""
        above = self._blocks[-1][-1].rpartition("\n")[2] if self._blocks else ""
        same = above.startswith(joins) if joins else " | " in above and " | " in line
        if same:
            self._blocks[-1].append(line)
        else:
            self._blocks.append([line])
