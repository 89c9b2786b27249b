"""The command line described in plain values, for the man page and the shell completions.

It reads the same declarations that ``--help`` shows, and from Typer only what every version has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sharedcli.setting_values import CHOICES

_MARKUP = re.compile(r"\[/?[a-z ]*\]")
_PLACES_TEXT = (
    "store cache adapter model output questions file paths folders files first second data wheel "
    "text recipe"
)
_PLACES = frozenset(_PLACES_TEXT.split())


@dataclass(frozen=True)
class Option:
    """One option: ``spellings`` as typed, ``value`` its metavar, None for a switch."""

    name: str
    spellings: tuple[str, ...]
    value: str | None
    help: str
    panel: str
    choices: tuple[str, ...] = ()
    takes_path: bool = False
    repeated: bool = False


@dataclass(frozen=True)
class Argument:
    """One positional argument."""

    name: str
    metavar: str
    help: str
    required: bool
    takes_path: bool


@dataclass(frozen=True)
class Command:
    """One command: ``words`` are what is typed after "sharedcli"."""

    words: tuple[str, ...]
    help: str
    panel: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    subcommands: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first sentence of the help."""
        return plain(self.help).split(". ")[0].split(".\n")[0].rstrip(".")


def commands() -> list[Command]:
    """Every command, the root first, in the order of ``--help``."""
    from typer.main import get_command

    from sharedcli.cli.app import app

    return list(_walk(get_command(app), ()))


def plain(text: str | None) -> str:
    """Help without markup, on one line per paragraph."""
    paragraphs = re.split(r"\n\s*\n", _MARKUP.sub("", (text or "").replace("\\[", "\0")))
    return "\n\n".join(" ".join(part.split()) for part in paragraphs).replace("\0", "[").strip()


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[Command]:
    inner: dict[str, Any] = getattr(command, "commands", {})
    parameters = [one for one in command.params if not getattr(one, "hidden", False)]
    yield Command(
        words,
        plain(command.help),
        getattr(command, "rich_help_panel", None) or "",
        tuple(_option(one) for one in parameters if one.opts[0].startswith("-")),
        tuple(_argument(one) for one in parameters if not one.opts[0].startswith("-")),
        tuple(inner),
    )
    for name, sub in inner.items():
        yield from _walk(sub, (*words, name))


def _option(parameter: Any) -> Option:
    switch = bool(getattr(parameter, "is_flag", False))
    return Option(
        name=parameter.name,
        spellings=tuple(parameter.opts),
        value=None if switch else parameter.metavar or parameter.name.upper(),
        help=plain(parameter.help),
        panel=getattr(parameter, "rich_help_panel", None) or "",
        choices=CHOICES.get(parameter.name, ()),
        takes_path=parameter.name in _PLACES and not switch,
        repeated=bool(getattr(parameter, "multiple", False)),
    )


def _argument(parameter: Any) -> Argument:
    return Argument(
        name=parameter.name,
        metavar=parameter.metavar or parameter.name.upper(),
        help=plain(parameter.help),
        required=bool(parameter.required),
        takes_path=parameter.name in _PLACES,
    )
