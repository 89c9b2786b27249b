"""What a command holds while it runs: settings, the engine, the terminal and the JSON output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sharedcli.ingest.sanitise import sanitise

if TYPE_CHECKING:
    from sharedcli.cli.render import Terminal
    from sharedcli.cli.render_activity import Activity
    from sharedcli.engine.engine import Engine
    from sharedcli.model.fetch import FetchStep
    from sharedcli.settings import Settings

SCHEMA_VERSION = 1
"""Of every JSON object that is written; changes only when a field goes or changes its meaning."""


class Session:
    """One run of one command.

    Args:
        settings: all of them.
        json: data goes to stdout as JSON.
        quiet: only errors on stderr.
    """

    def __init__(self, settings: Settings, *, json: bool = False, quiet: bool = False) -> None:
        self.settings = settings
        self.json = json
        self.quiet = quiet

    @cached_property
    def terminal(self) -> Terminal:
        """The two streams."""
        from sharedcli.cli.render import Terminal

        still = self.json and sys.stdout.isatty()  # a moving line would cut into the data
        return Terminal(self.settings.color, os.environ, quiet=self.quiet, still=still)

    @cached_property
    def activity(self) -> Activity:
        """The one moving line."""
        from sharedcli.cli.render_activity import Activity

        return Activity(self.terminal)

    @cached_property
    def engine(self) -> Engine:
        """The engine under this session's settings."""
        from sharedcli.engine.engine import Engine

        return Engine(self.settings, on_step=self._step, on_note=self.terminal.warning)

    def _step(self, step: FetchStep) -> None:
        from sharedcli.cli.render_fetch import show_step  # only who fetches needs progress bars

        show_step(self.activity, step)

    def write(self, text: str) -> None:
        """Write data to stdout at once."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def emit(self, payload: Mapping[str, Any]) -> None:
        """Write one JSON object on a line of its own."""
        self.write(json_line({"schema_version": SCHEMA_VERSION, **payload}))

    def close(self) -> None:
        """Stop what moves and close the store, if they were used."""
        if "activity" in self.__dict__:
            self.activity.stop()
        if "engine" in self.__dict__:
            self.engine.close()


def json_line(payload: Mapping[str, Any]) -> str:
    """Return one line of JSON. Strings are sanitised: a terminal may be what reads it."""
    readable = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    return json.dumps(_clean(payload), ensure_ascii=not readable, allow_nan=False) + "\n"


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return sanitise(value)
    if isinstance(value, Mapping):
        return {sanitise(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


@contextmanager
def open_session(flags: Mapping[str, Any]) -> Iterator[Session]:
    """Load the settings and open a session.

    Args:
        flags: settings by name, besides "json", "quiet", "no_color", "load_in_4bit" and "debug".
    """
    from sharedcli.errors import UsageError
    from sharedcli.settings import NAMES, load_settings

    given = {name: flags[name] for name in NAMES if flags.get(name) is not None}
    if flags.get("no_color"):
        given["color"] = "never"
    if flags.get("load_in_4bit"):
        if given.get("quantization", "bnb-4bit") != "bnb-4bit":
            raise UsageError(
                f"--load-in-4bit and --quantization {given['quantization']} contradict each "
                "other; give one of them"
            )
        given["quantization"] = "bnb-4bit"
    session = Session(
        load_settings(given), json=bool(flags.get("json")), quiet=bool(flags.get("quiet"))
    )
    try:
        yield session
    finally:
        session.close()
