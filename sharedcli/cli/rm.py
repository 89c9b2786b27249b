"""``sharedcli rm``: remove documents and their context trees."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sharedcli.cli.flags import OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.cli.wording import plural
from sharedcli.errors import UsageError
from sharedcli.ingest.sanitise import sanitise_line
from sharedcli.store.records import DocumentRecord

_NAMED = 5


@takes(PLACES, OUTPUT)
def rm(
    session: Session,
    documents: Annotated[
        list[str], typer.Argument(metavar="DOC...", help="Ids, paths, titles or globs.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove documents from the library. The files themselves are not touched."""
    records = session.engine.documents(documents)
    if not yes and not _agreed(session, records):
        raise typer.Abort
    gone = set(session.engine.store().remove([record.id for record in records]))
    removed = [record for record in records if record.id in gone]
    if session.json:
        session.emit({"removed": [{"id": one.id, "source": one.source} for one in removed]})
        return
    for record in removed:
        session.terminal.note(f"removed {record.id}  {sanitise_line(record.source)}")


def _agreed(session: Session, records: list[DocumentRecord]) -> bool:
    """Ask on the terminal; without one nothing is ever removed unasked."""
    if session.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{plural(len(records), 'document')} would be removed; pass --yes to confirm it"
        )
    for record in records[:_NAMED]:
        session.terminal.note(f"  {record.id}  {sanitise_line(record.source)}")
    if len(records) > _NAMED:
        session.terminal.note(f"  and {len(records) - _NAMED} more")
    return typer.confirm(f"Remove {plural(len(records), 'document')}?", err=True)
