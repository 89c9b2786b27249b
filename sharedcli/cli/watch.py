"""``sharedcli watch``: follow folders as they change."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import CACHE, GEOMETRY, MODEL, OUTPUT, PLACES, QUOTA, takes
from sharedcli.cli.folders import Exclude, Hidden, Include, NoGitignore, Prune
from sharedcli.cli.session import Session
from sharedcli.engine.events import IndexEvent
from sharedcli.engine.filters import Filters

if TYPE_CHECKING:
    from sharedcli.cli.render_index import IndexView


@takes(PLACES, QUOTA, CACHE, MODEL, GEOMETRY, OUTPUT)
def watch(
    session: Session,
    folders: Annotated[list[str], typer.Argument(metavar="FOLDERS...", help="What to follow.")],
    *,
    prune: Prune = False,
    include: Include = None,
    exclude: Exclude = None,
    hidden: Hidden = False,
    no_gitignore: NoGitignore = False,
    settle: Annotated[
        float,
        typer.Option(
            "--settle", metavar="SECONDS", min=0.0, max=30.0, help="Quiet before a round begins."
        ),
    ] = 1.0,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look at the files instead of waiting for notices.")
    ] = False,
) -> None:
    """Index folders, and again whenever something in them changes, until Ctrl-C.

    Between two rounds no model works; it is loaded when the first document needs it.
    """
    run = partial(
        session.engine.watch,
        folders,
        prune=prune,
        filters=Filters(tuple(include or ()), tuple(exclude or ()), hidden, not no_gitignore),
        settle=settle,
        poll=poll,
    )
    shown = _Shown(session)
    try:
        for event in run() if session.json else run(on_progress=shown.progress):
            shown.event(event)
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        if shown.busy:
            raise


class _Shown:
    """Draws the events of round after round; ``busy`` is True inside of one."""

    def __init__(self, session: Session) -> None:
        self.busy = True
        self._session = session
        self._view: IndexView | None = None

    def event(self, event: IndexEvent) -> None:
        """Tell one event."""
        self.busy = event.kind not in ("done", "watching")
        if self._session.json:
            self._session.emit(payloads.index_event(event))
        elif event.kind == "watching":
            self._session.terminal.aside(f"watching {event.source}; Ctrl-C ends it")
        elif event.kind == "done":
            if self._view is not None:
                self._session.activity.stop()
                self._view.end(event)
            self._view = None
        else:
            self._round().event(event)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Draw pages read and passages encoded."""
        self._round().progress(stage, done, total)  # type: ignore[arg-type]

    def _round(self) -> IndexView:
        if self._view is None:
            from sharedcli.cli.render_index import IndexView

            self._view = IndexView(self._session.terminal, self._session.activity)
        return self._view
