"""Options and arguments that several tasks share, and how lists of numbers are written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharedcli.cli.flags import ANSWER, CACHE, GEOMETRY, MODEL, OUTPUT
from sharedcli.errors import UsageError

_KEPT = ("passages", "budget", "inject", "max_tokens", "seed")
SHARED = (MODEL, GEOMETRY, tuple(flag for flag in ANSWER if flag.name in _KEPT), CACHE, OUTPUT)
"""Groups of options that every task takes."""

_LARGE = 1024

Files = Annotated[list[Path], typer.Argument(metavar="FILES...", help="What to measure on.")]
Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated: none, truncate, full, passages, streaming, beacon-like, "
        "encoder-decoder, lingua, sharedllm, sharedllm+passages, or all. Behind a name: @256 "
        "slots at most, @r8 a ratio, @m10 layers, @shuffled, @other.",
    ),
]
Ratios = Annotated[
    str | None,
    typer.Option(
        "--ratios", metavar="LIST", help="Compressing methods at each of these ratios: 2,8,32."
    ),
]
Controls = Annotated[
    bool,
    typer.Option("--controls", help="Also inject shuffled contexts and other documents'."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Questions at most.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder of the records; the same run goes on in it. "
        "[dim]\\[default: sharedcli-eval/TASK-DIGEST][/]",
        show_default=False,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the records in the folder.")]
StreamWindow = Annotated[
    int, typer.Option("--stream-window", min=8, help="Tokens in the streaming method's cache.")
]


def token_counts(text: str, option: str) -> list[int]:
    """Read "4096,8K".

    Raises:
        UsageError: a part is no number of tokens.
    """
    found = []
    for part in text.replace(" ", "").upper().split(","):
        digits, scale = (part[:-1], _LARGE) if part.endswith("K") else (part, 1)
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 9 or not int(digits):
            raise UsageError(f"{option} takes tokens like 7168 or 4K,8K, not {text!r}")
        found.append(int(digits) * scale)
    return found


def ratio_list(text: str | None) -> list[float]:
    """Read "2,8,32"; none for None.

    Raises:
        UsageError: a part is no number of at least 1.
    """
    return _numbers(text, 1, 1e5, "--ratios takes tokens per slot like 2,8,32") if text else []


def percents(text: str) -> list[float]:
    """Read "0,50,100".

    Raises:
        UsageError: a part is no percentage.
    """
    return _numbers(text, 0, 100, "--depths takes percents like 0,25,50,75,100")


def _numbers(text: str, least: float, most: float, sentence: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(least <= one <= most for one in found):
        raise UsageError(f"{sentence}, not {text!r}")
    return found
