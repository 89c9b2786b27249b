"""SHA-256 over typed values: what every row and tensor of a store is sealed with.

Each part is prefixed by its type and length, so that ``("ab", "c")`` and ``("a", "bc")`` differ, as
do ``1`` and ``"1"``: a damaged SQLite row may change the type of a value as well as its content.
"""

from __future__ import annotations

import hashlib
import re

Part = str | bytes | bytearray | memoryview | int | float | None
"""Values that a digest can be taken of."""

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def digest(*parts: Part) -> str:
    """Return the hex SHA-256 of ``parts``, their types and their boundaries."""
    state = hashlib.sha256()
    data: bytes | bytearray | memoryview
    for part in parts:
        if isinstance(part, str):
            kind, data = "s", part.encode("utf-8", "surrogatepass")
        elif isinstance(part, bytes | bytearray | memoryview):
            kind, data = "b", part
        else:
            kind, data = type(part).__name__, repr(part).encode()
        state.update(f"{kind}{len(data)}:".encode())
        state.update(data)
    return state.hexdigest()


def is_sha256(value: object) -> bool:
    """Tell whether ``value`` is a hex SHA-256: checked before one becomes a file name."""
    return isinstance(value, str) and _HEX_SHA256.match(value) is not None
