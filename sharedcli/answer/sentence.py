"""The first sentence of an answer: what is held back until it is known whether it may be said."""

from __future__ import annotations

import re
from collections.abc import Iterator

HELD = 400
"""Characters that are held back at most, where no sentence ends."""

_END = re.compile(r"(\d|\w{4})[.!?][\"'”’)\]]*\s|\n")
"""The end of one, unless it is that of an abbreviation: "Mr. Weeks", "Corning Inc. of New York"."""


def first_sentence(pieces: Iterator[str], begun: str = "") -> str:
    """Take pieces until a sentence has ended, and return ``begun`` with them."""
    held = begun
    while not _END.search(held) and len(held) < HELD and (piece := next(pieces, "")):
        held += piece
    return held
