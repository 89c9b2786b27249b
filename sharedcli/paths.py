"""Paths as people write them."""

import os
from pathlib import Path


def home_path(text: str | Path) -> Path:
    """``~`` and ``~user`` stand for a home; where there is no such user, they stand for themselves.

    ``Path.expanduser`` fails for unknown users, which no caller wants to tell from a missing file.
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111
