"""``sharedcli eval abstain``."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli.cli.eval.options import SHARED, Files, Folder, Fresh, Limit
from sharedcli.cli.eval.running import make_workbench, measure
from sharedcli.cli.flags import takes
from sharedcli.cli.session import Session


@takes(*SHARED)
def abstain(
    session: Session,
    files: Files,
    *,
    limit: Limit = None,
    texts: Annotated[
        int, typer.Option("--texts", min=1, help="Texts that are joined into one document.")
    ] = 1,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """How often does `ask` refuse what the documents do not answer, and what they do?

    FILES are JSON Lines with questions about several documents; each is also asked of another one.
    """
    from sharedcli.evaluation.formats import read_items
    from sharedcli.evaluation.tasks.abstain import Abstain, join_texts
    from sharedcli.evaluation.tasks.questions import first_of_each

    items = first_of_each(join_texts(read_items(files).items, texts), limit)
    bench = make_workbench(session, encoder=True)
    task = Abstain(items, bench, session.settings.seed)
    measure(session, task, bench, files=files, output=output, fresh=fresh, texts=texts)
