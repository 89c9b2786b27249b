"""``sharedcli gc``: remove what no document needs."""

from __future__ import annotations

from dataclasses import asdict

from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.cli.wording import plural, size
from sharedcli.ingest.sanitise import sanitise_line


@takes(PLACES, OUTPUT)
def gc(session: Session) -> None:
    """Give disk space back, and mend the search index if it is damaged."""
    with session.activity as activity:
        activity.update("collecting")
        report = session.engine.store().gc()
    if session.json:
        session.emit(asdict(report))
        return
    session.terminal.note(f"removed {plural(report.files, 'file')}, {size(report.bytes)} freed")
    if report.rebuilt_search_index:
        session.terminal.note("the search index was made anew")
    for source in report.dropped:
        name = sanitise_line(source)
        session.terminal.warning(f"{name} was damaged beyond use and dropped; index it again")
