"""Which commands there are, in which order and under which headings."""

from __future__ import annotations

from typing import Annotated

import typer

from sharedcli import __version__
from sharedcli.cli import (
    ask,
    bench,
    chat,
    check,
    config,
    demo,
    export,
    gc,
    import_,
    index,
    model,
    path,
    rm,
    show,
    stats,
    status,
    train,
    tree,
    watch,
)
from sharedcli.cli import eval as eval_
from sharedcli.cli import list as list_

app = typer.Typer(
    name="sharedcli",
    help="Ask questions about long documents on your own machine, with page citations.",
    epilog="Start with: sharedcli demo",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ASK = "Ask"
_LIBRARY = "Library"
_STORE = "Store"
_MODELS = "Models and settings"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sharedcli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Ask questions about long documents on your own machine, with page citations."""


app.command("index", rich_help_panel=_ASK)(index.index)
app.command("watch", rich_help_panel=_ASK)(watch.watch)
app.command("ask", rich_help_panel=_ASK)(ask.ask)
app.command("chat", rich_help_panel=_ASK)(chat.chat)
app.command("demo", rich_help_panel=_ASK)(demo.demo)
app.command("list", rich_help_panel=_LIBRARY)(list_.list_documents)
app.command("show", rich_help_panel=_LIBRARY)(show.show)
app.command("tree", rich_help_panel=_LIBRARY)(tree.tree)
app.command("rm", rich_help_panel=_LIBRARY)(rm.rm)
app.command("export", rich_help_panel=_LIBRARY)(export.export)
app.command("import", rich_help_panel=_LIBRARY)(import_.import_document)
app.command("status", rich_help_panel=_STORE)(status.status)
app.command("stats", rich_help_panel=_STORE)(stats.stats)
app.command("check", rich_help_panel=_STORE)(check.check)
app.command("gc", rich_help_panel=_STORE)(gc.gc)
app.command("path", rich_help_panel=_STORE)(path.path)
app.add_typer(model.app, name="model", rich_help_panel=_MODELS)
app.add_typer(config.app, name="config", rich_help_panel=_MODELS)
app.command("train", rich_help_panel=_MODELS)(train.train)
app.add_typer(eval_.app, name="eval", rich_help_panel=_MODELS)
app.add_typer(bench.app, name="bench", rich_help_panel=_MODELS)
