"""``sharedcli index``: compress documents into stored context trees."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import CACHE, GEOMETRY, MODEL, OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.engine.events import IndexCounts
from sharedcli.errors import DocumentError, SomeFilesFailedError


@takes(PLACES, CACHE, MODEL, GEOMETRY, OUTPUT)
def index(
    session: Session,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS...", help="Files, folders, or - for stdin.")
    ],
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Index files again that have not changed.")
    ] = False,
) -> None:
    """Index documents: read, compress, store. Unchanged files are passed over.

    Every finished document is kept if the run is interrupted; the same command goes on from there.
    """
    if code := exit_code(indexed(session, paths, force)):
        raise typer.Exit(code)


def indexed(session: Session, paths: list[str], force: bool) -> IndexCounts:
    """Index on the session's streams, and return the counts."""
    return _with_json(session, paths, force) if session.json else _shown(session, paths, force)


def exit_code(counts: IndexCounts) -> int:
    """0 if nothing failed, 3 if some files did, 1 if there is none that did not."""
    if not counts.failed:
        return 0
    good = counts.new + counts.changed + counts.unchanged
    return SomeFilesFailedError.exit_code if good else DocumentError.exit_code


def _with_json(session: Session, paths: list[str], force: bool) -> IndexCounts:
    counts = IndexCounts()
    for event in session.engine.index(paths, force=force):
        session.emit(payloads.index_event(event))
        counts = event.counts or counts
    return counts


def _shown(session: Session, paths: list[str], force: bool) -> IndexCounts:
    from sharedcli.cli.render_index import IndexView

    counts = IndexCounts()
    with session.activity as activity:
        activity.update("looking for documents")
        view = IndexView(session.terminal, activity)
        for event in session.engine.index(paths, force=force, on_progress=view.progress):
            view.event(event)
            counts = event.counts or counts
    view.end(counts)
    return counts
