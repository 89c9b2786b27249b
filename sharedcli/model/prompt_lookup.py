"""Drafts for speculative decoding, looked up in what was read: prompt lookup decoding.

An answer quotes its passages and itself. Where its last tokens have occurred before, what followed
them then is a good guess of what follows now; the model verifies the guess in one pass and keeps
what it would have said anyway (Leviathan et al., arXiv 2211.17192; the lookup is Saxena's prompt
lookup decoding, 2023).
"""

from __future__ import annotations

from collections.abc import Iterable

LENGTHS = (3, 2)
"""Tokens that must agree, longest first."""


class PromptLookup:
    """The running text, with an index of where each short run of tokens occurred last."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Add one token of running text."""
        # The run that ends here is indexed once something follows it.
        end = len(self._tokens)
        for length in LENGTHS:
            if end >= length:
                self._after[tuple(self._tokens[end - length :])] = end
        self._tokens.append(token)

    def draft(self, count: int) -> list[int]:
        """At most ``count`` tokens that may come next; none if nothing like it was read."""
        if count <= 0:
            return []
        for length in LENGTHS:
            place = self._after.get(tuple(self._tokens[-length:]))
            if place is not None:
                return self._tokens[place : place + count]
        return []
