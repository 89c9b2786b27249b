"""Text that comes in pieces, broken between words where a terminal's line ends."""

from __future__ import annotations

from rich.cells import cell_len


class WordWrap:
    """Breaks lines of ``width`` columns; a word is held back until it ends.

    A word wider than a line is broken where that ends, and between wide characters (CJK), which are
    written without spaces, everywhere.
    """

    def __init__(self, width: int) -> None:
        self._width = max(1, width)
        self._column = 0
        self._space = ""
        self._word = ""

    def feed(self, text: str) -> str:
        """What of ``text``, and of a word before it, can be shown now."""
        shown = ""
        for character in text:
            if character == "\n":
                shown += self.close() + "\n"
                self._column = 0
            elif character.isspace():
                shown += self._ended()
                self._space += character
            else:
                size = cell_len(character)
                if cell_len(self._word) + size > self._width:
                    shown += self._ended()
                self._word += character
                shown += self._ended() if size > 1 else ""
        return shown

    def close(self) -> str:
        """The last word; white space behind it is dropped."""
        shown = self._ended()
        self._space = ""
        return shown

    def _ended(self) -> str:
        """The word with what is before it: its white space, or a new line."""
        if not self._word:
            return ""
        before, size = self._space, cell_len(self._word)
        if self._column + len(before) + size > self._width:
            before, self._column = "\n" if self._column else "", 0
        else:
            self._column += len(before)
        shown = before + self._word
        self._column += size
        self._space = self._word = ""
        return shown
