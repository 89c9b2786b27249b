"""A document that is asked about once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine_samples import run_index

from sharedcli.engine.engine import Engine
from sharedcli.engine.unkept import unkept
from sharedcli.settings import Settings


def test_nothing_is_compressed_or_embedded_and_no_quota_stops_it(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "day.txt").write_text("The lamp burned colza oil all night. " * 200, "utf-8")
    settings = settings_for(quota=1, inject="always")
    with Engine(unkept(settings, tmp_path / "scratch")) as engine:
        run_index(engine, tmp_path / "day.txt")
        (record,) = engine.documents()
        assert engine.store().stats().blob_bytes < 100 * record.chunks
        ((_, _, vectors),) = engine.store().read_passages([record.id])
        assert vectors.size == 0
        answer = engine.ask("What did the lamp burn?")
        "".join(answer)
        assert answer.usage.slots > 0
    assert not settings.store.exists()
