"""Several readers beside a writer, one writer at a time."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import store_faults as faults
import store_samples as samples

from sharedcli.errors import NoStoreError, StoreLockedError
from sharedcli.store import sweeping
from sharedcli.store.store import Store


def test_a_second_writer_is_refused_after_its_timeout(store: Store) -> None:
    doc = samples.document(1)
    with (
        store.writer(doc, samples.identity(), file_size=1, mtime_ns=1) as writer,
        Store.open(store.path, lock_timeout=0.1) as other,
    ):
        for change in (
            lambda: samples.put(other, 2),
            lambda: other.remove(["x"]),
            other.gc,
            lambda: other.record_failure("/x", "y"),
        ):
            with pytest.raises(StoreLockedError, match="another process is writing"):
                change()
        assert other.documents() == []
        writer.commit()
        assert len(other.documents()) == 1
    samples.put(store, 2)


def test_a_writer_in_another_process_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    Store.open(path, create=True).close()
    code = (
        "import sys; from pathlib import Path; from sharedcli.store.store import Store\n"
        f"store = Store.open(Path({str(path)!r}))\n"
        "with store.exclusive():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child, Store.open(path, lock_timeout=0.1) as store:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError):
            samples.put(store, 1)
        child.kill()
        child.wait()
        samples.put(store, 1)  # the system has freed the dead process's lock


def test_the_lock_may_be_held_over_several_changes(store: Store) -> None:
    with store.exclusive():
        samples.put(store, 1)
        samples.put(store, 2)
        store.gc()
    with Store.open(store.path, lock_timeout=0.1) as other:
        samples.put(other, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_readers_always_see_whole_documents(tmp_path: Path) -> None:
    """Readers in processes of their own, while one document is replaced over and over."""
    path = tmp_path / "s"
    with Store.open(path, create=True) as store:
        samples.put(store, 0, chunks=2, source="/a.pdf")
    expected = {}
    for seed in range(4):
        with Store.open(tmp_path / str(seed), create=True) as other:
            record = samples.put(other, seed, chunks=2, source="/a.pdf")
            expected[record.id] = samples.dump(other)[record.id][2:]  # type: ignore[index]

    def read() -> None:
        with Store.open(path) as store:
            for _ in range(25):
                assert len(store.documents()) == 1
                try:
                    found = samples.dump(store)
                except NoStoreError:
                    continue  # replaced between two questions
                for id_ in expected.keys() & found.keys():
                    assert found[id_][2:] == expected[id_]  # type: ignore[index]

    readers = [faults.begin_in_child(read) for _ in range(3)]
    codes: list[int] = []
    with faults.disk_is(faults.Disk()), Store.open(path) as store:
        turn = 0
        while len(codes) < len(readers) or turn < 4:
            samples.put(store, turn % 4, chunks=2, source="/a.pdf")
            turn += 1
            ended = [os.waitpid(reader, os.WNOHANG) for reader in readers[len(codes) :][:1]]
            codes += [os.waitstatus_to_exitcode(status) for child, status in ended if child]
    assert codes == [0, 0, 0]
    with Store.open(path) as store:
        assert store.check().clean


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_writers_wait_for_each_other_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    Store.open(path, create=True).close()
    codes: list[int] = []

    def write(first: int) -> None:
        with Store.open(path, lock_timeout=60) as store:
            for seed in range(first, first + 4):
                samples.put(store, seed, chunks=1)

    writers = [
        threading.Thread(
            target=lambda first=first: codes.append(faults.run_in_child(lambda: write(first)))
        )
        for first in (0, 4, 8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert codes == [0, 0, 0]
    with Store.open(path) as store:
        assert sorted(d.mtime_ns for d in store.documents()) == list(range(12))
        assert store.check().clean


def test_threads_may_share_a_store(store: Store) -> None:
    record = samples.put(store, 1)
    expected = samples.dump(store)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(samples.dump(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    assert record.id in expected


def test_replaced_blobs_stay_for_readers_for_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.put(store, 1, source="/a.pdf")
    (old,) = store.path.rglob("*.safetensors")
    samples.put(store, 2, source="/a.pdf")
    samples.put(store, 3)
    assert old.exists()
    assert store.check().unused_files == 0
    monkeypatch.setattr(sweeping, "GRACE_S", 0.0)
    samples.put(store, 4)
    assert not old.exists()
    assert store.check().clean


def test_a_document_removed_while_it_is_read_is_no_damage(store: Store) -> None:
    from sharedcli.store import reading

    record = samples.put(store, 1)
    with Store.open(store.path) as other, other._catalogue.reading() as connection:
        entry = reading.rows.entry(connection, record.id)
    store.remove([record.id])
    with (
        pytest.raises(NoStoreError, match="run the same command again"),
        reading.reading_blobs(store._catalogue, entry) as blobs,
    ):
        blobs.read("0" * 64, 1, [(0, 1)])
