"""Who is told what happens in a run: terminals, logs, tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sharedcli.training.heldout import Table


class Observer:
    """Is told what happens; the base class does nothing."""

    def told(self, sentence: str) -> None:
        """A sentence for the user."""

    def stepped(self, record: dict[str, Any], share: float) -> None:
        """A step was made; ``share`` (0 to 1) of all budgets is used."""

    def measured(self, step: int, tables: list[Table]) -> None:
        """Held-out losses."""

    def saved(self, path: Path) -> None:
        """A checkpoint was written."""

    def finished(self, folder: Path) -> None:
        """The trained adapter was written into ``folder``."""
