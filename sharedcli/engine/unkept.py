"""Settings for a document that is asked about once: nothing is computed before the question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sharedcli.store.identity import RECOMPUTE

if TYPE_CHECKING:
    from sharedcli.settings import Settings


def unkept(settings: Settings, store: Path) -> Settings:
    """``settings`` with a ``store`` of one's own, into which text is cut and nothing is computed.

    What a question needs of it is embedded and compressed when it comes.
    """
    return replace(settings, store=store, slot_format=RECOMPUTE, embed="ask", quota=None)
