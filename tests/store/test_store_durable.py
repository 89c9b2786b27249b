"""Whatever fails or dies at whatever instant: the old document or the new one, never between."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import store_faults as faults
import store_samples as samples

from sharedcli.errors import SharedCLIError
from sharedcli.store import durable
from sharedcli.store.store import Store


def remove_document(path: Path) -> None:
    with Store.open(path) as store:
        store.remove([store.documents()[0].id])


def collect_garbage(path: Path) -> None:
    with Store.open(path) as store:
        store.gc()


def create_store(path: Path) -> None:
    Store.open(path / "new", create=True).close()


WORKS: dict[str, Callable[[Path], None]] = {
    "replace": faults.replace_document,
    "remove": remove_document,
    "gc": collect_garbage,
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store at rest, with a left-over of a killed writer."""
    path = tmp_path_factory.mktemp("origin") / "store"
    faults.sample_store(path)
    assert faults.kill_at(path, 12, faults.replace_document) == -signal.SIGKILL
    assert list(path.rglob("writing"))
    return path


def calls_of(work: Callable[[Path], None], path: Path) -> list[str]:
    disk = faults.CountingDisk()
    with faults.disk_is(disk):
        work(path)
    return disk.calls


def state(path: Path) -> dict[str, object]:
    """What the store answers, but for times."""
    with Store.open(path) as store:
        found = samples.dump(store)
        report = store.check()
    assert report.clean, report
    for record in [key for key in found if not str(key).startswith(("search", "failures"))]:
        found[record] = found[record][1:]  # type: ignore[index]
    return found


def copies(origin: Path, place: Path) -> Iterator[Path]:
    """Fresh copies of a store, one at a time."""
    while True:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(origin, place)
        yield place


def before_and_after(
    origin: Path, work: Callable[[Path], None], place: Path
) -> tuple[list[str], list[dict[str, object]]]:
    path = next(copies(origin, place))
    old = state(path)
    calls = calls_of(work, path)
    return calls, [old, state(path)]


def test_the_durable_calls_come_in_order(origin: Path, tmp_path: Path) -> None:
    calls, _ = before_and_after(origin, faults.replace_document, tmp_path / "copy")
    assert calls.count("commit") == 1
    published = calls.index("commit")
    start = calls.index("write") - 1
    assert calls[start : start + 3] == ["create", "write", "fsync"]
    for at in [i for i, name in enumerate(calls) if name == "replace"]:
        assert calls[at - 1] in ("fsync", "fsync_directory")
        assert calls[at + 1] == "fsync_directory"
        assert at < published
    assert "write" not in calls[published:]


@pytest.mark.parametrize("mode", faults.FAILURES)
@pytest.mark.parametrize("work", WORKS)
def test_a_failing_disk_tears_nothing(origin: Path, tmp_path: Path, work: str, mode: str) -> None:
    calls, allowed = before_and_after(origin, WORKS[work], tmp_path / "copy")
    chosen = range(1, len(calls) + 1)
    outcomes = set()
    if mode in ("short", "lying"):
        chosen = [i for i in chosen if calls[i - 1] == "write"]  # type: ignore[assignment]
    for at in chosen:
        path = next(copies(origin, tmp_path / "copy"))
        with faults.disk_is(faults.FailingDisk(at, mode)):
            try:
                WORKS[work](path)
                failed = False
            except SharedCLIError as error:
                failed = True
                assert ("no space left" in str(error)) == (mode == "full")
        outcomes.add(failed)
        found = state(path)
        assert found in allowed, (at, calls[at - 1])
        if not failed:
            assert found == allowed[1]
        if mode != "io":  # "full" has covered the same instants
            WORKS["replace"](path)  # the next writer goes on
            collect_garbage(path)
            with Store.open(path) as store:
                assert store.check().unused_files == 0
                assert store.stats().unused_bytes == 0
    # Only a write that is cut short can be finished; a disk that lies must be caught.
    writes = "write" in calls
    expected = {"short": {False} if writes else set(), "lying": {True} if writes else set()}
    assert outcomes == expected[mode] if mode in expected else True in outcomes


class InterruptingDisk(faults.CountingDisk):
    """Ctrl-C arrives during call ``at``."""

    def strike(self, name: str, call: Callable[[], object]) -> object:
        call()
        raise KeyboardInterrupt


def test_an_interrupted_writer_cleans_up_itself(origin: Path, tmp_path: Path) -> None:
    calls, allowed = before_and_after(origin, faults.replace_document, tmp_path / "copy")
    # The first calls clean up after the writer that was killed.
    for at in range(calls.index("write"), calls.index("commit") + 2):
        path = next(copies(origin, tmp_path / "copy"))
        with faults.disk_is(InterruptingDisk(at)), pytest.raises(KeyboardInterrupt):
            faults.replace_document(path)
        assert state(path) in allowed
        with Store.open(path) as store:
            assert store.check().unused_files == 0
        assert not list((path / "tmp").iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("work", WORKS)
def test_a_killed_writer_tears_nothing(origin: Path, tmp_path: Path, work: str) -> None:
    calls, allowed = before_and_after(origin, WORKS[work], tmp_path / "copy")
    for at in range(1, len(calls) + 2):
        path = next(copies(origin, tmp_path / "copy"))
        status = faults.kill_at(path, at, WORKS[work])
        assert status == (-signal.SIGKILL if at <= len(calls) else 0)
        found = state(path)
        assert found in allowed, (at, calls[at - 1])
        WORKS["replace"](path)
        with Store.open(path) as store:
            assert store.check().unused_files == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_interrupted_creation_is_finished_by_the_next(tmp_path: Path) -> None:
    calls = calls_of(create_store, tmp_path)
    for at in range(1, len(calls) + 1):
        shutil.rmtree(tmp_path / "new")
        assert faults.kill_at(tmp_path, at, create_store) == -signal.SIGKILL
        with Store.open(tmp_path / "new", create=True) as store:
            record = samples.put(store, 1, chunks=1)
            assert store.documents() == [record]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_at_random_instants(tmp_path: Path) -> None:
    Store.open(tmp_path / "s", create=True).close()
    assert faults.kill_trials(tmp_path / "s", 12, seed=3) == {"whole": 12}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on file sizes")
@pytest.mark.parametrize("limit", [4_000, 30_000, 60_000, 120_000])
def test_a_real_limit_on_file_sizes(origin: Path, tmp_path: Path, limit: int) -> None:
    """The system itself cuts writes short here, SQLite's too."""
    path = next(copies(origin, tmp_path / "copy"))
    allowed = before_and_after(origin, faults.replace_document, tmp_path / "other")[1]

    def work() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with contextlib.suppress(SharedCLIError):
            faults.replace_document(path)

    assert faults.run_in_child(work) == 0
    assert state(path) in allowed


def test_a_full_database_is_said_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.put(store, 1, chunks=1)
    before = samples.dump(store)
    doc = samples.document(2, chunks=1)
    writer = store.writer(doc, samples.identity(), file_size=1, mtime_ns=1)
    with pytest.raises(SharedCLIError, match="no space left"), writer:
        connection = writer._catalogue.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        for index, part in enumerate(samples.tokens(doc)):
            big = {"level1.keys": samples.tensors(2, 0)["level1.keys"]}
            writer.put_chunk(index, part, big)
        writer.put_passages(samples.passages(doc), [[0.0] * 4096] * 3)
        writer.commit()
    assert samples.dump(store) == before
    assert store.check().clean


def test_errors_of_the_disk_say_what_to_do() -> None:
    for code, advice in [
        (errno.ENOSPC, "--store"),
        (errno.EACCES, "permission"),
        (errno.EIO, "check the disk"),
    ]:
        message = str(durable.disk_error(OSError(code, os.strerror(code)), Path("/s/x"), 1234))
        assert advice in message
        assert "/s/x" in message


def test_the_long_trials_run(tmp_path: Path) -> None:
    tool = Path(faults.__file__)
    result = subprocess.run(
        [sys.executable, str(tool), "--trials", "2", "--step", "40000"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert [line.split(" {")[0] for line in lines] == ["bit flips", "truncations", "kills"]
    assert "WRONG" not in result.stdout
