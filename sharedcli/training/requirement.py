"""How a recipe says that a value does not fit."""

from __future__ import annotations

from sharedcli.errors import UsageError


def need(fits: bool, name: str, value: object, expected: str) -> None:
    """Raise ``UsageError`` unless ``fits``: the value of ``name`` must be what is expected."""
    if not fits:
        raise UsageError(f"recipe: {name} = {value} does not fit; it must be {expected}")
