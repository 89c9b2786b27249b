"""Messages between the worker process and its owner: a length, then JSON. Nothing is pickled.

A message is a JSON object with one of these keys:

    to the worker     {"path": hex of the file name's bytes, "name": str, "limits": {...}}
    from the worker   {"start": {"media_type", "paged", "total"}}
                      {"section": [text, label or null]}
                      {"end": {"title", "sha256", "warnings"}, "retire": bool}
                      {"error": [class name, sentence], "retire": bool}

"retire" asks for a new worker: this one has used much memory.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")
OVERHEAD_BYTES = 1 << 20


class WireError(Exception):
    """The other side closed the pipe, or sent what is no message."""


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message and flush."""
    # Readers may return lone surrogates; the receiver's sanitiser drops them.
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO, max_bytes: int) -> dict[str, Any]:
    """Read one message of at most ``max_bytes``.

    Raises:
        WireError: end of file, a longer message, or no JSON object.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise WireError("closed")
    (length,) = _LENGTH.unpack(head)
    if length > max_bytes:
        raise WireError(f"message of {length} bytes")
    data = stream.read(length)
    if len(data) < length:
        raise WireError("closed in mid-message")
    try:
        message = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise WireError("no JSON") from None
    if not isinstance(message, dict):
        raise WireError("no JSON object")
    return message
