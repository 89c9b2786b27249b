"""Questions about files as they are: read and cut now, and forgotten when the command ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sharedcli.cli.session import Session
from sharedcli.engine.unkept import unkept
from sharedcli.errors import DocumentError, UsageError
from sharedcli.ingest.discover import STDIN


@contextmanager
def about(session: Session, files: Sequence[str]) -> Iterator[float]:
    """Let the session's questions be about ``files`` alone; the user's store is not touched.

    The session's engine must not have been used before, and cannot be afterwards. Gives the time
    (monotonic) at which reading began.

    Raises:
        DocumentError: none of them could be read; the message is about the first.
        UsageError: there is nothing to read.
    """
    begun = time.monotonic()
    for name in ("store", "slot_format", "embed"):
        if session.settings.origins.get(name) == "flag":
            flag = name.replace("_", "-")
            session.terminal.warning(f"--{flag} changes nothing here: with --file nothing is kept")
    with TemporaryDirectory(prefix="sharedcli-") as folder:
        session.settings = unkept(session.settings, Path(folder, "store"))
        try:
            _read(session, files)
            yield begun
        finally:
            session.engine.close()


def _read(session: Session, files: Sequence[str]) -> None:
    failed: list[str] = []
    with session.activity as activity:
        for event in session.engine.index(files):
            if event.kind == "reading":
                name = "standard input" if event.source == STDIN else Path(event.source).name
                activity.update(f"reading {name}")
            elif event.kind == "loading":
                activity.update("loading the model")
            elif event.kind == "failed":
                failed.append(event.reason)
            for warning in event.warnings:
                name = "standard input" if event.source == STDIN else event.source
                session.terminal.warning(f"{name}: {warning}")
    if not session.engine.documents():
        if failed:
            raise DocumentError(failed[0])
        raise UsageError(f"there is nothing to read in {', '.join(files)}; name files or folders")
    for reason in failed:
        session.terminal.warning(reason)
