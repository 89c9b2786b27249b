"""``sharedcli list``: the documents of the library."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session


@takes(PLACES, OUTPUT)
def list_documents(
    session: Session,
    documents: Annotated[
        list[str] | None,
        typer.Argument(metavar="DOC", help="Ids, paths, titles or globs; all if none."),
    ] = None,
) -> None:
    """List the indexed documents."""
    records = session.engine.documents(documents or [])
    if session.json:
        session.emit({"documents": [payloads.document(record) for record in records]})
        return
    from sharedcli.cli.render_library import document_table

    if not records:
        session.terminal.note("no documents yet; index some with `sharedcli index FILE`")
        return
    session.terminal.show(document_table(records))
