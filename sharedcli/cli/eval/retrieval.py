"""``sharedcli eval retrieval``."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli.cli.eval.options import SHARED, Files, Folder, Fresh, Limit
from sharedcli.cli.eval.running import make_workbench, measure
from sharedcli.cli.flags import takes
from sharedcli.cli.session import Session


@takes(*SHARED)
def retrieval(
    session: Session,
    files: Files,
    *,
    methods: Annotated[
        str, typer.Option("--methods", metavar="NAMES", help="Rankings, comma-separated, or all.")
    ] = "all",
    limit: Limit = None,
    texts: Annotated[
        int, typer.Option("--texts", min=1, help="Texts that are joined into one document.")
    ] = 14,
    output: Folder = None,
    fresh: Fresh = False,
) -> None:
    """How often is the page that answers a question among the first that are found?

    FILES are JSON Lines: questions about files with the evidence's page, or texts with answers
    that stand in them word for word.
    """
    from sharedcli.evaluation.formats import read_items
    from sharedcli.evaluation.tasks.pages import page_questions, sample
    from sharedcli.evaluation.tasks.retrieval import Retrieval

    names = None if methods.strip() == "all" else [n.strip() for n in methods.split(",")]
    documents, questions = page_questions(read_items(files).items, texts=texts)
    questions = sample(questions, limit, session.settings.seed)
    bench = make_workbench(session, encoder=True)
    task = Retrieval(documents, questions, bench, names)
    measure(session, task, bench, files=files, output=output, fresh=fresh, texts=texts)
