"""Small texts to index, and a run of indexing as a dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sharedcli.engine.engine import Engine

LAMP = (
    "The lighthouse keeper wrote the weather into the book of the day. "
    "The lamp burned four litres of colza oil in a winter night. 🙂\n"
)
BELL = "The fog bell was rung by hand twice in every minute of the night.\n"
TIDE = "Spring tides reached the third step of the harbour stairs in March.\n"


def run_index(engine: Engine, *paths: Path | str, **options: Any) -> dict[str, list[Any]]:
    """Index, and return the events by kind."""
    events: dict[str, list[Any]] = {}
    for event in engine.index([str(path) for path in paths], **options):
        events.setdefault(event.kind, []).append(event)
    return events
