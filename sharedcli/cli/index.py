"""``sharedcli index``: compress documents into stored context trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import CACHE, GEOMETRY, MODEL, OUTPUT, PLACES, QUOTA, takes
from sharedcli.cli.folders import Exclude, Hidden, Include, NoGitignore, Prune
from sharedcli.cli.session import Session
from sharedcli.engine.events import IndexCounts, IndexEvent
from sharedcli.engine.filters import Filters
from sharedcli.errors import DocumentError, SomeFilesFailedError


@takes(PLACES, QUOTA, CACHE, MODEL, GEOMETRY, OUTPUT)
def index(
    session: Session,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS...", help="Files, folders, or - for stdin.")
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Index files again that have not changed.")
    ] = False,
    prune: Prune = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.")
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    hidden: Hidden = False,
    no_gitignore: NoGitignore = False,
) -> None:
    """Index documents and follow folders: read, compress, store what is new or has changed.

    Every finished document is kept if the run is interrupted; the same command goes on from there.
    """
    filters = Filters(tuple(include or ()), tuple(exclude or ()), hidden, not no_gitignore)
    run = partial(
        session.engine.plan if dry_run else session.engine.index,
        paths,
        force=force,
        prune=prune,
        filters=filters,
    )
    counts = _with_json(session, run) if session.json else _shown(session, run)
    if code := exit_code(counts):
        raise typer.Exit(code)


def indexed(session: Session, paths: list[str], force: bool) -> IndexCounts:
    """Index on the session's streams, and return the counts."""
    run = partial(session.engine.index, paths, force=force)
    return _with_json(session, run) if session.json else _shown(session, run)


def exit_code(counts: IndexCounts) -> int:
    """0 if nothing failed, 3 if some files did, 1 if there is none that did not."""
    if not counts.failed:
        return 0
    good = counts.new + counts.changed + counts.unchanged + counts.renamed
    return SomeFilesFailedError.exit_code if good else DocumentError.exit_code


def _with_json(session: Session, run: Callable[..., Iterator[IndexEvent]]) -> IndexCounts:
    counts = IndexCounts()
    for event in run():
        session.emit(payloads.index_event(event))
        counts = event.counts or counts
    return counts


def _shown(session: Session, run: Callable[..., Iterator[IndexEvent]]) -> IndexCounts:
    from sharedcli.cli.render_index import IndexView

    with session.activity as activity:
        activity.update("looking for documents")
        view = IndexView(session.terminal, activity)
        last = IndexEvent("done", counts=IndexCounts())
        for event in run(on_progress=view.progress):
            view.event(event)
            last = event
    view.end(last)
    return last.counts or IndexCounts()
