"""What the jobs of one benchmark have in common, and its way to a child process. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sharedcli.settings import Settings

DEFAULT_RUNS, DEFAULT_ANSWER = 3, 32

Tell = Callable[[int, int, str], None]
"""Told how much is done, of how much, and of what."""


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        settings: model, device, geometry and places.
        text: document whose text is read; None for the sample that ships with the package.
        answer_tokens: tokens that every method decodes.
        runs: times that each method is timed.
        stream_window, stream_block: of StreamingLLM.
        forward_only: decode with the base's own forward pass in every method.
        stores: folder of the store of each context length.
    """

    settings: Settings
    text: str | None = None
    answer_tokens: int = DEFAULT_ANSWER
    runs: int = DEFAULT_RUNS
    stream_window: int = 2048
    stream_block: int = 512
    forward_only: bool = False
    stores: Mapping[int, Path] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        plain = asdict(self)
        plain["settings"] = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in plain["settings"].items()
            if name != "origins"
        }
        plain["stores"] = {str(tokens): str(path) for tokens, path in self.stores.items()}
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """Read what ``to_plain`` wrote."""
        given = dict(plain["settings"])
        for item in fields(Settings):
            if isinstance(given.get(item.name), str) and item.name in ("store", "cache"):
                given[item.name] = Path(given[item.name])
        stores = {int(tokens): Path(path) for tokens, path in plain["stores"].items()}
        return cls(**{**plain, "settings": Settings(**given), "stores": stores})
