"""The contract of tasks: cases, and what one way of doing it scores on a case."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        id: unique within a run and the same in every run of it.
        group: the document it is about.
        where: its place in a grid, such as {"context": 4096}; results are split by it.
        payload: what the task needs to run it.
    """

    id: str
    group: str
    where: dict[str, Any] = field(default_factory=dict)
    payload: Any = None


@dataclass(frozen=True)
class Outcome:
    """Scores by name, what else to keep, and seconds that sharing with other ways has saved."""

    scores: dict[str, float]
    detail: dict[str, Any] = field(default_factory=dict)
    saved: float = 0.0


class Task(ABC):
    """Something to measure, in several ways (methods, or rankings)."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def ways(self) -> Sequence[str]:
        """Names of the methods, in the order of the report."""

    @property
    def references(self) -> Sequence[str]:
        """Names of ways that are measured besides, since others are judged by them."""
        return ()

    @abstractmethod
    def cases(self) -> Sequence[Case]:
        """What is measured, in order."""

    def prepare(self, case: Case) -> None:  # noqa: B027 - most have nothing to do
        """Do what all ways share, such as tokenising; it counts towards nobody's time."""

    @abstractmethod
    def measure(self, case: Case, way: str) -> Outcome:
        """Run one case.

        Raises:
            UnfitError: this way cannot take it.
        """

    def caveat(self, way: str) -> str:
        """What a reader of this way's figures must know; "" if nothing."""
        return ""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of all figures must know."""
        return ()
