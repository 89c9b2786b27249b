"""Events: every kind that is counted has its count, and nothing can be changed afterwards."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from sharedcli.engine.events import COUNTED, EventKind, IndexCounts, IndexEvent


def test_every_counted_kind_is_a_kind_with_a_count() -> None:
    counts = {field.name for field in fields(IndexCounts)}
    assert set(COUNTED) <= counts & set(get_args(EventKind))
    assert counts - set(COUNTED) == {"new", "changed", "tokens", "seconds", "stored_bytes"}


def test_the_kinds_are_described() -> None:
    assert IndexEvent.__doc__ is not None
    missing = [kind for kind in get_args(EventKind) if f'"{kind}"' not in IndexEvent.__doc__]
    assert missing == []


def test_events_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        IndexEvent("done").kind = "found"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        IndexCounts().new = 1  # type: ignore[misc]
