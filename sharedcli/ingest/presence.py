"""Whether a file that was indexed once is still there.

Sources are kept in printable form, which cannot be turned back into every file name. In doubt the
file counts as present: what follows from "gone" is that its tree may be dropped.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sharedcli.ingest.sanitise import absolute_path, printable_path

_ESCAPED = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def is_gone(source: str) -> bool:
    """Whether no file has this printable path any more.

    False as well if the system does not let us see (no permission, a disk that fails).
    """
    path = Path(source)
    try:
        path.lstat()
        return False
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError):
        return False
    if _ESCAPED.search(path.name):
        return not _has_printable_name(path.parent, source)
    return not _ESCAPED.search(source)


def _has_printable_name(folder: Path, source: str) -> bool:
    """Whether a file in ``folder`` is written as ``source``; also True if that cannot be seen."""
    try:
        with os.scandir(folder) as entries:
            return any(printable_path(folder / entry.name) == source for entry in entries)
    except FileNotFoundError:
        return bool(_ESCAPED.search(str(folder)))
    except OSError:
        return True


def lies_in(source: str, folder: str | Path) -> bool:
    """Whether the path ``source`` lies below ``folder``, by name alone."""
    if "\0" in source:
        return False
    return absolute_path(source).startswith(absolute_path(folder).rstrip(os.sep) + os.sep)
