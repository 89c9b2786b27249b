"""``metrics.jsonl``: one JSON line per step and per measurement, in step with the checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

FILE = "metrics.jsonl"


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a metrics file; a last line that a crash cut short is passed over."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


class Metrics:
    """Appends records to a run's metrics file.

    Opening it for a resumed run takes back what was written after the checkpoint, so that the file
    of a killed and resumed run reads like that of a run that was never killed.
    """

    def __init__(self, folder: Path, after_step: int, writes: bool = True) -> None:
        """Open or trim the file.

        Args:
            folder: of the run.
            after_step: the step of the checkpoint that the run goes on from; -1 for none.
            writes: False in all processes of a distributed run but one.
        """
        self.path = folder / FILE
        self._stream: TextIO | None = None
        if not writes:
            return
        kept = [r for r in read_metrics(self.path) if int(r.get("step", 0)) <= after_step]
        part = self.path.with_suffix(".part")
        part.write_text("".join(map(_line, kept)), encoding="utf-8")
        part.replace(self.path)
        self._stream = self.path.open("a", encoding="utf-8")

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, so that it can be read at once."""
        if self._stream is not None:
            self._stream.write(_line(record))
            self._stream.flush()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()


def _line(record: dict[str, Any]) -> str:
    return json.dumps({key: _finite(value) for key, value in record.items()}) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
