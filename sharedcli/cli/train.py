"""``sharedcli train``: adapt a base model for self-injection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sharedcli.cli.flags import BASE, CACHE, OUTPUT, Flag, takes
from sharedcli.cli.session import Session

_MODEL = "Model"
HARDWARE = (
    Flag("device", str, ("--device",), "auto, cpu, cuda or mps.", _MODEL),
    Flag(
        "attn_implementation",
        str,
        ("--attn-implementation",),
        "sdpa, eager or flash_attention_2.",
        _MODEL,
    ),
    Flag("quantization", str, ("--quantization",), "bnb-4bit (QLoRA), bnb-8bit or none.", _MODEL),
    Flag("load_in_4bit", bool, ("--load-in-4bit",), "Short for --quantization bnb-4bit.", _MODEL),
)


@takes(BASE, HARDWARE, CACHE, OUTPUT)
def train(
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
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="lm, qa, default, answers, or a TOML file.")
    ] = "default",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run; an existing run goes on.")
    ] = Path("sharedcli-train"),
    holdout: Annotated[
        list[str] | None,
        typer.Option(
            "--holdout", metavar="NAME", help="Keep documents of this name for measuring only."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps in all.")] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.01, help="Minutes of training in all.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything random.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the recipe."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--adapter", help="Adapter to begin from instead of a new one.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the run that is in the output folder.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, and train nothing.")
    ] = False,
) -> None:
    """Train an adapter on your own documents or on JSON Lines.

    The same command goes on with a run that was interrupted, from its newest checkpoint.
    """
    from sharedcli.training.recipe_files import load_recipe

    changes = list(assignments or [])
    if steps is not None:
        changes += [f"steps={steps}", *([] if minutes else ["minutes=0"])]
    if minutes is not None:
        changes += [f"minutes={minutes}", *([] if steps else ["steps=0"])]
    if seed is not None:
        changes.append(f"seed={seed}")
    chosen = load_recipe(recipe, changes)
    from sharedcli.training.prepare import Job

    settings = session.settings
    job = Job(
        recipe=chosen,
        data=tuple(data),
        output=output,
        holdout=tuple(holdout or ()),
        model=settings.model,
        revision=settings.revision,
        device=settings.device,
        attn_implementation=settings.attn_implementation,
        quantization=settings.quantization,
        offline=settings.offline,
        cache=settings.cache,
        adapter=start,
        fresh=fresh,
    )
    if dry_run:
        _estimate(session, job)
    else:
        _run(session, job)


def _run(session: Session, job: Any) -> None:
    from sharedcli.cli.render_training import TrainingView
    from sharedcli.training.run import train as run_training

    view = TrainingView(session)
    try:
        run_training(job, view)
    finally:
        view.close()


def _estimate(session: Session, job: Any) -> None:
    from sharedcli.cli.render_training import TrainingView, show_estimate
    from sharedcli.training.estimate import estimate

    view = TrainingView(session)
    try:
        found = estimate(job, view)
    finally:
        view.close()
    show_estimate(session, found)
