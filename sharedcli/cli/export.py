"""``sharedcli export``: a document's context tree as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.cli.wording import size
from sharedcli.ingest.sanitise import printable_path


@takes(PLACES, OUTPUT)
def export(
    session: Session,
    doc: Annotated[str, typer.Argument(metavar="DOC", help="Id, path, title or glob.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")
    ],
) -> None:
    """Write a document's tree into one file, which `sharedcli import` takes elsewhere.

    Everything is in it: text, passages, tokens and slots, and who made them.
    """
    store = session.engine.store()
    record = store.resolve(doc, one=True)[0]
    with session.activity as activity:
        activity.update("writing")
        written = store.export(record.id, output)
    file = printable_path(output)
    if session.json:
        session.emit({"file": file, "bytes": written, "document": payloads.document(record)})
    else:
        session.write(f"{file}\n")
        session.terminal.aside(f"{record.source}: {size(written)}")
