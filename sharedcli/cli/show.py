"""``sharedcli show``: one document, or the text of its pages."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.errors import UsageError
from sharedcli.ingest.document import Document, Page
from sharedcli.ingest.sanitise import sanitise


@takes(PLACES, OUTPUT)
def show(
    session: Session,
    doc: Annotated[str, typer.Argument(metavar="DOC", help="Id, path, title or glob.")],
    page: Annotated[
        str | None,
        typer.Option("--page", "-p", metavar="N", help="Print the text of this page or label."),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Print the whole text.")] = False,
) -> None:
    """Show what is known about a document, or the text that was read from it."""
    store = session.engine.store()
    record = store.resolve(doc, one=True)[0]
    document = store.load_document(record.id)
    if page is not None:
        chosen = find_page(document, page)
        body = document.text[chosen.start : chosen.end]
        if session.json:
            session.emit({"id": record.id, **payloads.page(chosen), "text": body})
        else:
            session.write(sanitise(body).rstrip("\n") + "\n")
    elif text:
        if session.json:
            session.emit({"id": record.id, "text": document.text})
        else:
            session.write(sanitise(document.text).rstrip("\n") + "\n")
    elif session.json:
        session.emit(payloads.whole_document(record, store.identity(record.id), document))
    else:
        from sharedcli.cli.render_library import document_facts

        session.terminal.show(document_facts(record, store.identity(record.id), document))


def find_page(document: Document, wanted: str) -> Page:
    """Return the page of that number, else the one with that label. ``UsageError`` if none."""
    for page in document.pages:
        if str(page.number) == wanted.strip():
            return page
    for page in document.pages:
        if page.label is not None and page.label.casefold() == wanted.strip().casefold():
            return page
    last = document.pages[-1].number if document.pages else 0
    kind = "pages" if document.paged else "parts"
    raise UsageError(f"there is no page {wanted}; the document has {kind} 1 to {last}")
