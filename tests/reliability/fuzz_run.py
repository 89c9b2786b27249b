"""The frame of a fuzz trial: its clock, its counts, the inputs that led to a crash, its end."""

import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

_SPEAK_EVERY_S = 60.0
_KEPT_OF_A_KIND = 3


class Run:
    """One target's run.

    Args:
        name: of the target.
        seconds: of the processor, children included, after which it is over.
        crashes: folder for the inputs that led to a crash; made when there is one.
    """

    def __init__(self, name: str, seconds: float, crashes: Path, *, aloud: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._name = name
        self._seconds = seconds
        self._crashes = crashes
        self._aloud = aloud
        self._begun = processor_seconds()
        self._spoke = time.monotonic()
        self._stopped = False
        self._kept: Counter[str] = Counter()

    def stop_on_signals(self) -> None:
        """End at the next file on SIGTERM and Ctrl-C, so that the counts so far are told."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stopped = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    @property
    def spent(self) -> float:
        """Seconds of the processor so far."""
        return processor_seconds() - self._begun

    def over(self) -> bool:
        """Whether it is time to end; speaks once a minute."""
        spent = self.spent
        if self._aloud and time.monotonic() - self._spoke > _SPEAK_EVERY_S:
            self._spoke = time.monotonic()
            print(f"{self._name}: {spent:.0f} of {self._seconds:.0f} s, {self.said()}", flush=True)
        return self._stopped or spent >= self._seconds

    def said(self) -> str:
        """The counts in words."""
        return ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))

    def count(self, outcome: str) -> None:
        """Count one input."""
        self.counts[outcome] += 1

    def keep(
        self, error: Exception | str, data: bytes, suffix: str, outcome: str = "crashes"
    ) -> None:
        """Count an input, and keep the first few of one kind of failure."""
        self.count(outcome)
        said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        kind = f"{outcome} {said[:30]} {said[-30:]} {suffix}"
        self._kept[kind] += 1
        if self._kept[kind] > _KEPT_OF_A_KIND:
            return
        self._crashes.mkdir(parents=True, exist_ok=True)
        number = sum(self._kept.values())
        file = self._crashes / f"{self._name} {outcome} {number}{suffix}"
        file.write_bytes(data)
        print(f"{outcome}: {said} ({file})", file=sys.stderr, flush=True)


def processor_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)
