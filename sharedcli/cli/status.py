"""``sharedcli status``: what is in the library, and which files could not be indexed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session


@takes(PLACES, OUTPUT)
def status(
    session: Session,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only the files that could not be indexed.")
    ] = False,
) -> None:
    """Show the library at a glance, and the files that could not be indexed."""
    store = session.engine.store()
    failures = store.failures()
    listed = {"failed": [asdict(one) for one in failures]}
    if session.json and failed:
        session.emit(listed)
        return
    stats = store.stats()
    if session.json:
        totals = {"documents": stats.documents, "pages": stats.pages, "tokens": stats.tokens}
        session.emit({"store": str(store.path), **totals, **listed})
        return
    from sharedcli.cli.render_library import failure_table, status_facts

    if not failed:
        session.terminal.show(status_facts(store.path, stats))
    if failures:
        if not failed:
            session.terminal.out.print()
        session.terminal.show(failure_table(failures))
    elif failed:
        session.terminal.note("no file has failed")
