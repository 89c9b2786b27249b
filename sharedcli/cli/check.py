"""``sharedcli check``: read everything that is stored and verify it."""

from __future__ import annotations

from dataclasses import asdict

import typer

from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.errors import CorruptionError


@takes(PLACES, OUTPUT)
def check(session: Session) -> None:
    """Verify every stored byte, name what is damaged, and the command that repairs it."""
    store = session.engine.store()
    with session.activity as activity:
        activity.update("checking")
        report = store.check(
            lambda done, total: activity.update("checking", done, total, unit="documents")
        )
    if session.json:
        session.emit({"clean": report.clean, **asdict(report)})
    else:
        from sharedcli.cli.render_library import show_check

        show_check(session.terminal, report)
    if not report.clean:
        raise typer.Exit(CorruptionError.exit_code)
