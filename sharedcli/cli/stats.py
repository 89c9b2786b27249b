"""``sharedcli stats``: totals of the store."""

from __future__ import annotations

from dataclasses import asdict

from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session


@takes(PLACES, OUTPUT)
def stats(session: Session) -> None:
    """Show how much is stored, and how many bytes a token takes."""
    store = session.engine.store()
    found = store.stats()
    if session.json:
        stored = found.blob_bytes + found.catalogue_bytes
        per_token = round(stored / found.tokens, 1) if found.tokens else None
        session.emit({"store": str(store.path), **asdict(found), "bytes_per_token": per_token})
        return
    from sharedcli.cli.render_library import stats_facts

    session.terminal.show(stats_facts(store.path, found))
