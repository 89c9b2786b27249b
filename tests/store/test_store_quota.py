"""A store never takes more than its quota, and loses nothing when it is reached."""

import threading
import time
from pathlib import Path

import pytest
import store_faults as faults
import store_samples as samples

from sharedcli.errors import SharedCLIError
from sharedcli.store.quota import used
from sharedcli.store.store import Store


class MeasuringDisk(faults.CountingDisk):
    """Remembers the most that the store took after any call."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.store = store
        self.most = 0

    def reached(self, name, call):  # type: ignore[no-untyped-def]
        result = super().reached(name, call)
        self.most = max(self.most, used(self.store))
        return result


@pytest.mark.parametrize("quota", [450_000, 700_000, 1_100_000])
def test_the_quota_is_never_exceeded_and_nothing_is_lost(tmp_path: Path, quota: int) -> None:
    path = tmp_path / "s"
    disk = MeasuringDisk(path)
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            disk.most = max(disk.most, used(path))
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    with faults.disk_is(disk), Store.open(path, create=True, quota=quota) as store:
        watcher.start()
        refused = 0
        expected: dict[str, object] = {}
        for seed in range(40):
            try:
                record = samples.put(store, seed, chunks=2 + seed % 5)
            except SharedCLIError as error:
                assert "--quota" in str(error)
                refused += 1
                continue
            expected[record.id] = record
        for seed in range(6):  # documents that take the place of others
            try:
                samples.put(store, 50 + seed, chunks=4, source="/papers/report 0.pdf")
            except SharedCLIError:
                refused += 1
        stop.set()
        watcher.join()
        assert refused
        assert disk.most <= quota
        assert used(path) > quota / 4
        present = {record.id: record for record in store.documents()}
        kept = {key: value for key, value in expected.items() if value.source[-5:] != "0.pdf"}
        assert kept.items() <= present.items()
        assert store.check().clean
        assert store.check().unused_files == 0


def test_room_that_is_made_can_be_used(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True, quota=700_000) as store:
        kept = []
        with pytest.raises(SharedCLIError, match="remove documents"):
            for seed in range(100):
                kept.append(samples.put(store, seed).id)
        store.remove(kept[: len(kept) // 2])
        store.gc()
        samples.put(store, 200)


def test_replaced_blobs_make_room_before_a_document_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True, quota=700_000) as store:
        for seed in range(30):
            samples.put(store, seed, source="/one.pdf")
        assert len(store.documents()) == 1


def test_without_a_quota_nothing_is_measured(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharedcli.store.quota.used", lambda _path: 1 / 0)
    record = samples.put(store, 1)
    assert store.documents() == [record]
