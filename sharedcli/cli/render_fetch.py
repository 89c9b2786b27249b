"""The steps of fetching a model, as ``sharedcli.model.fetch`` tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from sharedcli.cli.render import clean
from sharedcli.cli.render_activity import Activity
from sharedcli.cli.wording import size

if TYPE_CHECKING:
    from sharedcli.model.fetch import FetchStep

_LABELS = {
    "wait": "waiting for another process",
    "download": "downloading",
    "verify": "checking SHA-256",
    "convert": "converting to safetensors",
}


def show_step(activity: Activity, step: FetchStep) -> None:
    """Announcements and ends stay as lines; what lies between moves."""
    if step.stage in ("announce", "done"):
        activity.line(Text(clean(step.text, 1000), style="dim" if step.stage == "done" else ""))
    elif step.stage == "download":
        activity.update(_LABELS["download"], step.done, step.total or None, amount=size)
    else:
        activity.update(_LABELS[step.stage])
