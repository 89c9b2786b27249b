"""What each setting may be: values from files and variables in the type that they must have."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

from sharedcli.errors import UsageError

_PATHS = ("store", "cache")
CHOICES = {
    "color": ("auto", "always", "never"),
    "inject": ("auto", "always", "never"),
    "abstain": ("auto", "never"),
    "decode_weights": ("auto", "int4", "int8", "plain", "unpacked"),
    "index_weights": ("auto", "int8", "plain"),
    "embed": ("index", "ask"),
    "slot_format": ("int8", "int4", "bfloat16", "float16", "float32", "recompute"),
    "levels": ("per_node", "nested"),
    "slot_choice": ("first", "last", "mean", "pooled"),
}
TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_NUMBERS: dict[str, tuple[type[int] | type[float], Callable[[float], bool], str]] = {
    "budget": (int, lambda n: n >= 0, "a whole number of slots, 0 or more"),
    "passages": (int, lambda n: n >= 0, "a whole number, 0 or more"),
    "max_tokens": (int, lambda n: n >= 1, "a whole number of tokens, 1 or more"),
    "temperature": (float, lambda n: n >= 0, "a number, 0 or more"),
    "top_p": (float, lambda n: 0 < n <= 1, "a number above 0 and at most 1"),
    "seed": (int, lambda n: 0 <= n < 2**63, "a whole number, 0 or more"),
    "chunk_tokens": (int, lambda n: n >= 2, "a whole number of tokens, 2 or more"),
    "depth": (int, lambda n: 1 <= n <= 10, "a whole number from 1 to 10"),
    "slots_per_node": (int, lambda n: n >= 1, "a whole number, 1 or more"),
    "lead_tokens": (int, lambda n: n >= 0, "a whole number of tokens, 0 or more"),
    "stored_depth": (int, lambda n: 0 <= n <= 10, "a whole number from 0 to 10"),
    "strip_chunks": (int, lambda n: n >= 1, "a whole number of chunks, 1 or more"),
    "exit_layer": (int, lambda n: n >= 0, "a whole number of layers, 0 or more"),
    "pruning_layer": (int, lambda n: n >= 0, "a whole number of layers, 0 or more"),
}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([kmgt]i?b?|b?)")
_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kmgt", start=1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("kmgt", start=1)},
}
_SIZE_FORM = "a size such as 20GB or 512MiB, or none"


def debugging() -> bool:
    """Whether ``SHAREDCLI_DEBUG`` asks for tracebacks and the messages of libraries."""
    return os.environ.get("SHAREDCLI_DEBUG", "").strip().lower() not in ("", *_FALSE)


def fit(name: str, value: object, origin: str, folder: Path | None) -> object:
    """Return ``value`` in the setting's type; paths in files are relative to the file.

    Args:
        name: of the setting.
        value: as it was given.
        origin: who gave it, for errors.
        folder: of the file that gave it; None if no file did.

    Raises:
        UsageError: it does not fit.
    """
    try:
        if "\0" in str(value):
            raise ValueError("a NUL can be in no name")
        if name in _PATHS:
            return _path(value, folder)
        if name in _NUMBERS:
            return _number(name, value)
        if name == "quota":
            return _bytes(value)
        return _boolean(value) if name == "offline" else _text(name, value, folder)
    except ValueError as error:
        raise UsageError(f"{origin}: {name} = {value!r} does not fit; {error}") from error


def _path(value: object, folder: Path | None) -> Path:
    if not isinstance(value, (str, Path)) or not str(value).strip():
        raise ValueError("give a path")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ValueError("there is no such user; give the whole path") from None
    return folder / path if folder is not None else path


def _number(name: str, value: object) -> int | float:
    kind, fits, expected = _NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"give {expected}")
    try:
        number = kind(value)
        whole = kind is float or not isinstance(value, float) or value.is_integer()
        if not whole or not math.isfinite(number) or not fits(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"give {expected}") from None
    return number


def _bytes(value: object) -> int | None:
    """A size: a number of bytes, or a number with a unit ("20 GB", "1.5GiB"); "none" for None."""
    text = str(value).strip().lower().replace("_", "").replace(",", "")
    if text == "none" or isinstance(value, bool):
        if text == "none":
            return None
        raise ValueError(_SIZE_FORM)
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(_SIZE_FORM)
    number = float(match[1]) * _UNITS[match[2].removesuffix("b")]
    if not 1 <= number < 2**63:
        raise ValueError(_SIZE_FORM)
    return int(number)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    if text not in TRUE + _FALSE:
        raise ValueError("give true or false")
    return text in TRUE


def _text(name: str, value: object, folder: Path | None) -> str | None:
    if not isinstance(value, (str, Path)):
        raise ValueError("give a string")
    text = str(value).strip()
    if name in ("revision", "quantization") and text.lower() in ("", "none"):
        return None
    if not text:
        raise ValueError("give a value, or leave it out")
    if name in CHOICES and text not in CHOICES[name]:
        raise ValueError("give one of " + ", ".join(CHOICES[name]))
    if folder is not None and name in ("model", "adapter") and text.startswith(("./", "../")):
        return str(folder / text)
    return text
