"""One line of JSON per item and method, written as soon as it is measured.

A run that was killed goes on where it stopped: what has a record is not measured again. A folder
belongs to one setup (model, adapter, geometry, settings, files); methods and items may be added.
A last line that a kill cut short is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from sharedcli.errors import CorruptionError, NoStoreError, UsageError
from sharedcli.ingest.sanitise import printable_path

FILE = "records.jsonl"
SETUP = "setup.json"


@dataclass(frozen=True)
class Record:
    """What was measured.

    Attributes:
        method: its name.
        item: the item's id.
        group: the document that it is about.
        where: where it stands in a grid, such as {"context": 4096}.
        scores: by name; empty if skipped.
        seconds: preparing and reading or answering.
        skipped: why the method could not take the item; "".
        detail: prediction, answers (the references), tokens, slots.
    """

    method: str
    item: str
    group: str
    where: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


class RecordFile:
    """The records of one folder; a context manager that keeps other runs out.

    Args:
        folder: made if it is not there.
        setup: what the records depend on.
        fresh: forget what is there.

    Raises:
        UsageError: the folder belongs to another setup, or another run is writing to it.
    """

    def __init__(self, folder: Path, setup: dict[str, Any], *, fresh: bool = False) -> None:
        self.folder = folder
        self._setup = setup
        self._fresh = fresh
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".lock")
        self.done: dict[tuple[str, str], Record] = {}

    def __enter__(self) -> RecordFile:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"another run is writing to {printable_path(self.folder)}; wait for it, or give "
                "another --output"
            ) from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.release()

    def _open(self) -> None:
        path, setup = self.folder / FILE, self.folder / SETUP
        wanted = json.dumps(self._setup, sort_keys=True)
        if self._fresh:
            path.unlink(missing_ok=True)
        elif path.exists() and path.stat().st_size:
            known = setup.read_text(encoding="utf-8") if setup.exists() else ""
            if known != wanted:
                raise UsageError(
                    f"{printable_path(self.folder)} holds a run of another setup "
                    f"({_difference(known, self._setup)}); give another --output, or --fresh"
                )
            _drop_torn_line(path)
            self.done = {(r.method, r.item): r for r in read_records(self.folder)}
        part = setup.with_suffix(".part")
        part.write_text(wanted, encoding="utf-8")
        part.replace(setup)  # a kill leaves the old one or the new one
        self._file = path.open("a", encoding="utf-8")

    def add(self, record: Record) -> None:
        """Append a record; it is on its way to the disk when this returns."""
        self._file.write(json.dumps(asdict(record), ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done[record.method, record.item] = record


def read_records(folder: Path) -> list[Record]:
    """Read the records of a finished or interrupted run.

    Raises:
        NoStoreError: there are none.
        CorruptionError: a line is no record.
    """
    path = folder if folder.is_file() else folder / FILE
    try:
        with path.open(encoding="utf-8") as lines:
            return list(_records(lines, path))
    except FileNotFoundError as error:
        raise NoStoreError(
            f"{printable_path(folder)} holds no {FILE}; give the --output folder of an eval run"
        ) from error


def _records(lines: Any, path: Path) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            return  # cut short by a kill, or being written at this moment
        try:
            yield Record(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise CorruptionError(
                f"{printable_path(path)}, line {number}: not a record of sharedcli; run again "
                "with --fresh"
            ) from error


def _drop_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)


def _difference(known: str, wanted: dict[str, Any]) -> str:
    """Name the first thing that differs."""
    try:
        before = json.loads(known)
    except ValueError:
        return "unknown"
    keys = [key for key in wanted if before.get(key) != wanted[key]]
    return ", ".join(keys) or "unknown"
