"""``sharedcli eval``: methods side by side on the same base, documents and machine."""

from __future__ import annotations

import typer

from sharedcli.cli.eval.abstain import abstain
from sharedcli.cli.eval.compare import compare
from sharedcli.cli.eval.needle import needle
from sharedcli.cli.eval.perplexity import perplexity
from sharedcli.cli.eval.qa import qa
from sharedcli.cli.eval.retrieval import retrieval

app = typer.Typer(no_args_is_help=True, help="Measure: methods side by side, with intervals.")


@app.callback()
def root() -> None:
    """Measure: methods side by side, with intervals."""


for command in (perplexity, needle, qa, retrieval, abstain, compare):
    app.command(command.__name__)(command)
