"""Recipes as TOML: reading, overriding single keys, writing back.

Notable choices:
- Reading is driven by the dataclasses' own annotations, so the format has one description.
- An unknown key is refused and the nearest valid one named: a misspelt choice that is silently
  ignored would spoil hours of training.
- Overrides (``stages.optimiser.learning_rate=3e-4``) go through the same checks; behind ``stages``
  a number or a stage's name picks one, without either they hold for all.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import types
import typing
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sharedcli.errors import UsageError
from sharedcli.training.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def shipped_recipes() -> list[str]:
    """Names of the recipes in the package."""
    folder = resources.files("sharedcli.training") / "recipes"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return sorted(name.removesuffix(".toml") for name in names)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or one from a file.

    Args:
        name: "lm", "qa", "default", or the path of a TOML file.
        overrides: ``key.in.the.file=value`` with a TOML value; strings need no quotes.

    Raises:
        UsageError: no such recipe, not TOML, an unknown key, or a value that does not fit.
    """
    text, origin = _text(name)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is not valid TOML ({error}); correct it") from error
    recipe = build_recipe(table, origin)
    if overrides:
        full = dataclasses.asdict(recipe)
        for override in overrides:
            _override(full, override)
        recipe = build_recipe(full, origin)
    return recipe


def build_recipe(table: dict[str, Any], origin: str = "recipe") -> Recipe:
    """Turn plain tables into a checked recipe."""
    recipe: Recipe = _build(Recipe, table, origin, "")
    return recipe


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values, every default written out; ``build_recipe`` reads it back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return plain


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Keys in which two recipes differ, as dotted names."""
    left, right = _flat(to_plain(one)), _flat(to_plain(other))
    return sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))


def _text(name: str) -> tuple[str, str]:
    path = Path(name)
    shipped = shipped_recipes()
    if name in shipped and not path.is_file():
        file = resources.files("sharedcli.training") / "recipes" / f"{name}.toml"
        return file.read_text(encoding="utf-8"), f"recipe {name}"
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"there is no recipe {name}; give a TOML file, or one of " + ", ".join(shipped)
        ) from error


def _build(kind: Any, table: Any, origin: str, where: str) -> Any:
    """An instance of dataclass ``kind`` from ``table``; ``where`` is its dotted place."""
    if not isinstance(table, dict):
        raise UsageError(f"{origin}: {where} must be a table, not {table!r}")
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else "known are: " + ", ".join(hints)
            place = f" in {where}" if where else ""
            raise UsageError(f"{origin}: there is no key {key!r}{place}; {hint}")
    dotted = f"{where}." if where else ""
    values = {k: _value(hints[k], v, origin, dotted + k) for k, v in table.items()}
    try:
        return kind(**values)
    except UsageError as error:
        if str(error).startswith(origin):
            raise
        raise UsageError(f"{origin}: {str(error).removeprefix('recipe: ')}") from error


def _value(hint: Any, value: Any, origin: str, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, origin, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            value = [value]
        inner = get_args(hint)[0]
        return tuple(_value(inner, item, origin, f"{where}.{i}") for i, item in enumerate(value))
    if get_origin(hint) is typing.Literal:
        if value not in get_args(hint):
            known = ", ".join(map(str, get_args(hint)))
            raise UsageError(f"{origin}: {where} = {value!r} is unknown; use one of {known}")
        return value
    fits = {
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, (int, float)) and not isinstance(value, bool),
        str: isinstance(value, str),
    }
    if not fits[hint]:
        raise UsageError(f"{origin}: {where} = {value!r} does not fit; it must be a {_NAMES[hint]}")
    return value


_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "string",
    types.NoneType: "value",
}


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise UsageError(f"--set {override} is no KEY=VALUE; write for example --set seed=1")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    _assign(table, key.strip().split("."), value, key)


def _assign(table: Any, path: list[str], value: Any, key: str) -> None:
    first, rest = path[0], path[1:]
    if isinstance(table, (list, tuple)):
        if first.isdigit():
            if int(first) >= len(table):
                raise UsageError(f"--set {key}: there are only {len(table)}, counted from 0")
            _assign(table[int(first)], rest, value, key)
            return
        named = [item for item in table if isinstance(item, dict) and item.get("name") == first]
        if named and rest:
            table, path = named, rest
        for item in table:  # neither number nor name: all of them
            _assign(item, path, value, key)
        return
    if not isinstance(table, dict) or (rest and first not in table):
        known = ", ".join(table) if isinstance(table, dict) else "nothing"
        raise UsageError(f"--set {key}: there is no {first!r} here; known are: {known}")
    if rest:
        _assign(table[first], rest, value, key)
    else:
        table[first] = value


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    items: list[tuple[str, Any]]
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(str(i), item) for i, item in enumerate(value)]
    else:
        return {prefix.removesuffix("."): value}
    return {k: v for name, item in items for k, v in _flat(item, f"{prefix}{name}.").items()}
