"""A document's passages as the catalogue packs them, unpacked one at a time.

A question over a large library needs a handful of its passages; objects for all would take more
time and memory than their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from sharedcli.store.records import Passage
from sharedcli.store.spans import INT32

_VALUES = 3  # page, start, end


class PackedPassages(Sequence[Passage]):
    """Passages in reading order.

    Args:
        packed: int32 of shape [P, 3], row by row: page, start and end of each.
    """

    def __init__(self, packed: bytes) -> None:
        self._spans = np.frombuffer(packed, dtype=INT32).reshape(-1, _VALUES)

    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, ordinal: int) -> Passage: ...
    @overload
    def __getitem__(self, ordinal: slice) -> list[Passage]: ...
    def __getitem__(self, ordinal: int | slice) -> Passage | list[Passage]:
        if isinstance(ordinal, slice):
            return [self[one] for one in range(*ordinal.indices(len(self)))]
        at = range(len(self))[ordinal]  # counts from the end where negative, or raises
        page, start, end = self._spans[at].tolist()
        return Passage(at, page, start, end)
