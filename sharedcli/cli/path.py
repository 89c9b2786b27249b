"""``sharedcli path``: where things are."""

from __future__ import annotations

from sharedcli.cli.flags import CACHE, OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.ingest.sanitise import printable_path
from sharedcli.settings import user_file


@takes(PLACES, CACHE, OUTPUT)
def path(session: Session) -> None:
    """Print the store's folder, whether or not it is there yet."""
    settings = session.settings
    if session.json:
        session.emit(
            {
                "store": printable_path(settings.store),
                "exists": settings.store.is_dir(),
                "cache": printable_path(settings.cache),
                "config": printable_path(user_file()),
            }
        )
    else:
        session.write(printable_path(settings.store) + "\n")
