"""``sharedcli config``: every setting, and where its value came from."""

from __future__ import annotations

from pathlib import Path

import typer

from sharedcli.cli.flags import ANSWER, CACHE, GEOMETRY, MODEL, OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.settings import user_file

app = typer.Typer(no_args_is_help=True, help="Show the settings.")


@app.callback()
def root() -> None:
    """Show the settings."""


@app.command("show")
@takes(PLACES, CACHE, MODEL, GEOMETRY, ANSWER, OUTPUT)
def show(session: Session) -> None:
    """Show every setting with its value and where that came from.

    Flags are stronger than SHAREDCLI_... variables, these than sharedcli.toml, and that than the
    user's file.
    """
    explained = session.settings.explain()
    if session.json:
        session.emit(
            {
                "user_file": str(user_file()),
                "settings": [
                    {"name": one.name, "value": _plain(one.value), "origin": one.origin}
                    for one in explained
                ],
            }
        )
        return
    from sharedcli.cli.render_library import settings_table

    session.terminal.show(settings_table(explained))


@app.command("path")
@takes(OUTPUT)
def path(session: Session) -> None:
    """Print the place of the user's configuration file, whether or not it is there."""
    if session.json:
        session.emit({"user_file": str(user_file()), "exists": user_file().is_file()})
    else:
        session.write(f"{user_file()}\n")


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
