"""``engine/watching.py``: which changes lead to a round, and what a round tells."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sharedcli.engine.engine import Engine
from sharedcli.engine.events import IndexEvent
from sharedcli.engine.filters import Filters, find
from sharedcli.engine.watching import Watcher
from sharedcli.errors import SharedCLIError, StoreLockedError, UsageError
from sharedcli.settings import Settings

PROSE = "The fog bell was rung by hand twice in every minute of the night.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "papers"
    place.mkdir()
    (place / "a.txt").write_text(PROSE)
    return place


@pytest.fixture
def engine(tiny_folder: Callable[[str], Path], cache: Path, tmp_path: Path) -> Iterator[Engine]:
    settings = Settings(
        store=tmp_path / "papers" / "store",  # its own writing must not wake it
        cache=cache,
        model=str(tiny_folder("llama")),
        device="cpu",
        dtype="float32",
        offline=True,
        chunk_tokens=64,
        depth=2,
        slots_per_node=4,
    )
    with Engine(settings) as opened:
        yield opened


def until(events: Iterator[IndexEvent], kind: str) -> list[IndexEvent]:
    found = []
    for event in events:
        found.append(event)
        if event.kind == kind:
            return found
    raise AssertionError(f"no {kind}: {found}")


def kinds(events: list[IndexEvent]) -> list[str]:
    progress = ("reading", "loading", "compressing")
    return [event.kind for event in events if event.kind not in progress]


@pytest.mark.parametrize("poll", [False, True])
def test_a_folder_is_followed_while_it_changes(engine: Engine, folder: Path, poll: bool) -> None:
    events = engine.watch([str(folder)], settle=0.2, poll=poll, prune=True)
    assert kinds(until(events, "watching")) == ["found", "indexed", "done", "watching"]
    (folder / "below").mkdir()
    (folder / "below" / "b.txt").write_text(PROSE * 2)
    round_ = until(events, "done")
    assert kinds(round_) == ["found", "indexed", "done"]
    assert round_[-1].counts is not None
    assert round_[-1].counts.unchanged == 1  # counted, but not told
    (folder / "a.txt").rename(folder / "c.txt")
    assert kinds(until(events, "done")) == ["found", "renamed", "done"]
    (folder / "c.txt").unlink()
    assert kinds(until(events, "done")) == ["found", "removed", "done"]


def test_no_model_is_loaded_before_something_is_new(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(engine.index([str(folder)]))
    with Engine(engine.settings) as fresh:
        events = fresh.watch([str(folder)], settle=0.1)
        assert kinds(until(events, "watching")) == ["found", "unchanged", "done", "watching"]
        (folder / "a.txt").rename(folder / "b.txt")
        assert kinds(until(events, "done")) == ["found", "renamed", "done"]
        assert fresh._model is None
        (folder / "c.txt").write_text(PROSE)
        assert kinds(until(events, "done")) == ["found", "indexed", "done"]
        assert fresh._model is not None


class Rounds:
    """In the place of ``index``: notes its calls and yields what it was given for each."""

    def __init__(self, *rounds: Any) -> None:
        self.rounds = iter(rounds)
        self.filters: list[Filters] = []

    def __call__(self, _folders: list[str], *, filters: Filters) -> Iterator[IndexEvent]:
        self.filters.append(filters)
        found = next(self.rounds)
        if isinstance(found, Exception):
            raise found
        yield from (IndexEvent("found", total=1), *found, IndexEvent("done"))


def watcher(folder: Path, index: Rounds, *, hidden: bool = False, **given: Any) -> Watcher:
    return Watcher(
        [str(folder)],
        index,
        Filters(hidden=hidden),
        **{"ours": [folder / "store"], "on_note": lambda _note: None, **given},
    )


@pytest.mark.parametrize(
    ("name", "hidden", "counts"),
    [
        ("a.txt", False, True),
        ("below", False, True),
        (".gitignore", False, True),
        (".a.txt.swp", False, False),
        (".git/index", True, False),
        (".a.txt", True, True),
        ("store/catalogue.sqlite3", False, False),
        ("stored.txt", False, True),
    ],
)
def test_which_changes_count(folder: Path, name: str, hidden: bool, counts: bool) -> None:
    assert watcher(folder, Rounds(), hidden=hidden)._counts(str(folder.resolve() / name)) is counts


def test_what_is_no_news_is_not_told_again(folder: Path) -> None:
    """A round without news tells nothing at all, and a failed file is left out until it changes."""
    status = (folder / "a.txt").stat()
    seen = (status.st_size, status.st_mtime_ns)
    failed = IndexEvent("failed", str(folder / "a.txt"), reason="is empty", seen=seen)
    index = Rounds([failed], [IndexEvent("unchanged", "x")], [failed])
    events = watcher(folder, index).run(0.05, poll=False)
    until(events, "watching")

    def write() -> None:
        (folder / "b.txt").write_text("x")
        while len(index.filters) < 2:
            time.sleep(0.01)
        (folder / "a.txt").write_text(PROSE)

    writer = threading.Thread(target=write)
    writer.start()
    assert kinds(until(events, "done")) == ["found", "failed", "done"]
    writer.join()
    assert len(index.filters) == 3
    assert index.filters[1].passed_over == {str(folder / "a.txt"): seen}


def test_what_is_passed_over_is_what_failed_and_not_what_has_come_of_it(
    engine: Engine, folder: Path
) -> None:
    """A copy may be finished while the same round reads other files."""
    half = folder / "a.txt"
    half.write_bytes(b"")
    status = half.stat()
    told = [event for event in engine.index([str(folder)]) if event.kind == "failed"]
    assert [event.seen for event in told] == [(0, status.st_mtime_ns)]
    index = Rounds([*told], [IndexEvent("indexed", str(half))])
    half.write_text(PROSE)
    events = watcher(folder, index).run(0.05, poll=False)
    until(events, "watching")
    (folder / "b.txt").write_text("x")
    until(events, "done")
    assert half in [one.path for one in find([str(folder)], index.filters[1])]


def test_a_missing_document_is_told_once(folder: Path) -> None:
    lost = IndexEvent("missing", "gone.txt", record=SimpleNamespace(id="0" * 12))  # type: ignore[arg-type]
    index = Rounds([lost], [lost, IndexEvent("indexed", "a")])
    events = watcher(folder, index).run(0.05, poll=False)
    assert kinds(until(events, "watching")) == ["found", "missing", "done", "watching"]
    (folder / "b.txt").write_text("x")
    assert kinds(until(events, "done")) == ["found", "indexed", "done"]


def test_a_store_in_use_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharedcli.engine.watching._AGAIN_AFTER_LOCK_S", 0.1)
    notes: list[str] = []
    index = Rounds(StoreLockedError("another process is writing"), [IndexEvent("indexed", "a")])
    events = watcher(folder, index, on_note=notes.append).run(0.05, poll=False)
    assert kinds(until(events, "done")) == ["watching", "found", "indexed", "done"]
    assert "another process is writing; trying again" in notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_names_of_any_bytes(folder: Path) -> None:
    index = Rounds([], [IndexEvent("indexed", "a")], [IndexEvent("indexed", "b")])
    events = watcher(folder, index).run(0.05, poll=False)
    until(events, "watching")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.txt")).write_text(PROSE)
    assert until(events, "done")[-2].source == "a"
    (folder / "b.txt").write_text(PROSE)
    assert until(events, "done")[-2].source == "b"


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_a_folder_whose_name_cannot_be_watched(folder: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))
    odd.mkdir()
    with pytest.raises(SharedCLIError, match="cannot watch"):
        next(watcher(odd, Rounds([])).run(0.05, poll=False))


def test_a_folder_that_is_gone_ends_it(folder: Path) -> None:
    events = watcher(folder, Rounds([])).run(0.05, poll=False)
    until(events, "watching")
    shutil.rmtree(folder)
    with pytest.raises(SharedCLIError, match="nothing was removed"):
        next(events)


def test_only_folders_are_watched(folder: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        watcher(folder / "a.txt", Rounds())
