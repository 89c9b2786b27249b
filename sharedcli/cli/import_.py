"""``sharedcli import``: take in what ``export`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import OUTPUT, PLACES, QUOTA, takes
from sharedcli.cli.session import Session
from sharedcli.cli.wording import plural


@takes(PLACES, QUOTA, OUTPUT)
def import_document(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `sharedcli export` wrote it.")],
    force: Annotated[
        bool, typer.Option("--force", "-f", help="In place of another document of that name.")
    ] = False,
) -> None:
    """Store the tree of an exported document, under the id that it had.

    Every byte is verified. The file need not come from this machine, but its tree is only as good
    as whoever made it.
    """
    with session.activity as activity:
        activity.update("verifying and storing")
        record = session.engine.store(create=True).import_file(file, replace=force)
    if session.json:
        session.emit({"document": payloads.document(record)})
    else:
        from sharedcli.cli.render import clean

        session.write(f"{record.id}\n")
        session.terminal.aside(f"{clean(record.source)}: {plural(record.tokens, 'token')}")
