"""``sharedcli eval compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharedcli.cli.flags import OUTPUT, takes
from sharedcli.cli.session import Session


@takes(OUTPUT)
def compare(
    session: Session,
    first: Annotated[Path, typer.Argument(help="Folder of one run.")],
    second: Annotated[Path, typer.Argument(help="Folder of the other.")],
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            metavar="NAMES",
            help="Only these; two names compare the first run's one with the second run's other.",
        ),
    ] = None,
) -> None:
    """Compare two runs on the items that both have: second minus first."""
    from sharedcli.evaluation.comparing import compare_runs

    names = None if methods is None else [n.strip() for n in methods.split(",") if n.strip()]
    found, differing = compare_runs(first, second, names)
    if session.json:
        session.emit(
            {
                "first": str(first),
                "second": str(second),
                "paired": [one.to_plain() for one in found],
                "differing": differing,
            }
        )
        return
    from sharedcli.cli.render_evaluation import show_comparison

    show_comparison(session.terminal, found, differing)
