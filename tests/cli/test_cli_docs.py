"""The reference describes what is there, and only that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sharedcli import errors
from sharedcli.cli import flags
from sharedcli.cli.app import app

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
_TEXT = (_REFERENCE / "cli.md").read_text(encoding="utf-8")
_ELSEWHERE = {"train"}  # described in a guide of its own
_GROUPS = {
    "Places": flags.PLACES,
    "Model": flags.MODEL,
    "Context tree": flags.GEOMETRY,
    "Output": flags.OUTPUT,
}
_TABLES = ("eval", "bench")  # groups with a table of their own
_SHARED = {name for group in _GROUPS.values() for flag in group for name in flag.spellings} | {
    name for flag in flags.CACHE for name in flag.spellings
}


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        elif name not in _ELSEWHERE:
            yield (*path, name), command


COMMANDS = dict(_commands(typer.main.get_command(app)))


def _section(heading: str) -> str:
    start = _TEXT.index(f"\n## {heading}\n")
    end = _TEXT.find("\n## ", start + 1)
    return _TEXT[start : end if end > 0 else None]


def _options(command: Any) -> set[str]:
    return {
        name
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("-") and name not in ("--help", "-h")
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_described(path: tuple[str, ...]) -> None:
    section = _section(f"sharedcli {' '.join(path)}")
    shared = _section("Shared options")
    if path[0] in _TABLES and "Takes `" in section:
        section += _section(f"Shared options of {path[0]}")
    for name in _options(COMMANDS[path]):
        where = shared if name in _SHARED and f"`{name}" not in section else section
        if path == ("config", "show"):
            where = _TEXT
        assert f"`{name}" in where, f"{name} of {' '.join(path)} is not described"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_nothing_is_described_that_is_not_there(path: tuple[str, ...]) -> None:
    section = _section(f"sharedcli {' '.join(path)}")
    first = re.findall(r"^\| `(--[a-z0-9-]+)", section, re.MULTILINE)
    assert set(first) <= _options(COMMANDS[path])


def test_every_section_is_a_command() -> None:
    described = set(re.findall(r"^## sharedcli (.+)$", _TEXT, re.MULTILINE))
    assert described == {" ".join(path) for path in COMMANDS}


def test_every_command_has_help_and_json() -> None:
    for path, command in COMMANDS.items():
        assert command.help, path
        assert "--json" in _options(command), path
        for parameter in command.params:
            assert getattr(parameter, "help", None), (path, parameter.name)


def test_exit_codes_are_described() -> None:
    text = (_REFERENCE / "errors.md").read_text(encoding="utf-8")
    for kind in vars(errors).values():
        if not isinstance(kind, type) or not issubclass(kind, errors.SharedCLIError):
            continue
        if issubclass(kind, errors.DocumentError):
            assert f"`{kind.__name__}`" in text
        else:
            assert f"| {kind.exit_code} | `{kind.__name__}` |" in text


def test_the_json_of_ask_is_as_described(library: Path, cli: Callable[..., Any]) -> None:
    example = json.loads(re.findall(r"```json\n(.*?)```", _section("sharedcli ask"), re.DOTALL)[0])
    found = cli("ask", "What burned oil?", "--inject", "always", "--json").json
    assert set(found) == set(example)
    for name in ("evidence", "usage", "timings"):
        assert set(found[name]) == set(example[name])
    assert set(found["citations"][0]) == set(example["citations"][0])
    assert set(found["evidence"]["chunks"][0]) == set(example["evidence"]["chunks"][0])


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", "notes.txt"),
        ("show", "notes.txt", "--page", "1"),
        ("tree", "notes.txt", "--query", "Who kept the lamp?"),
        ("rm", "notes.txt", "--yes"),
        ("status",),
        ("stats",),
        ("check",),
        ("gc",),
        ("path",),
        ("model", "list"),
        ("config", "show"),
    ],
)
def test_every_field_of_the_json_is_described(
    library: Path, cli: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    found = cli(*arguments, "--json").json
    path = arguments if arguments in COMMANDS else arguments[:1]
    section = _section(f"sharedcli {' '.join(path)}")
    if path == ("model", "list"):
        section = _section("sharedcli model fetch")
    assert found.pop("schema_version") == 1
    nested = [item for value in found.values() if isinstance(value, list) for item in value]
    names = set(found).union(*(set(item) for item in nested if isinstance(item, dict)))
    names -= {"documents"} if arguments == ("list",) else set()
    assert [name for name in names if not re.search(rf'[`"]{name}[`"]', section)] == []
