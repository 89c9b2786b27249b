"""Indexing: failures pass by, interruptions leave no half document, nothing is done twice."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.engine import compressing, tree_maker
from sharedcli.engine.engine import Engine
from sharedcli.engine.opening import stored_tree
from sharedcli.errors import CorruptionError, SharedCLIError, UnreadableError
from sharedcli.settings import Settings
from sharedcli.store.writer import DocumentWriter

OLD = 1_600_000_000


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Three texts, old enough that their times are trusted."""
    texts = {"a.txt": LAMP * 3, "b.txt": BELL * 6, "c.txt": TIDE}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
        os.utime(tmp_path / name, (OLD, OLD))
    return {name[0]: tmp_path / name for name in texts}


@pytest.fixture
def engine(settings_for: Callable[..., Settings]) -> Iterator[Engine]:
    with Engine(settings_for()) as opened:
        yield opened


def _names(engine: Engine) -> list[str]:
    return [Path(record.source).name for record in engine.documents()]


def test_events_in_order(engine: Engine, files: dict[str, Path]) -> None:
    kinds = [event.kind for event in engine.index([str(files["c"])])]
    steps = ["found", "reading", "loading", "compressing", "compressing", "indexed", "done"]
    assert kinds == steps
    again = [event.kind for event in engine.index([str(files["c"])])]
    assert again == ["found", "unchanged", "done"]


def test_progress_counts_tokens(
    engine: Engine, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressing, "BATCH_TOKENS", 128)
    events = run_index(engine, files["a"])
    (record,) = [event.record for event in events["indexed"]]
    done = [event.done for event in events["compressing"]]
    assert done[0] == 0
    assert done[-1] == record.tokens
    assert record.tokens > 256
    assert done[1:-1] == list(range(128, record.tokens, 128))
    assert {event.total for event in events["compressing"]} == {record.tokens}


def test_loading_the_model_is_no_files_time(
    engine: Engine, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, real, load = [0.0], time.monotonic, engine.model

    def slow() -> Any:
        late[0] = 1e6
        return load()

    monkeypatch.setattr(time, "monotonic", lambda: real() + late[0])
    monkeypatch.setattr(engine, "model", slow)
    (event,) = run_index(engine, files["c"])["indexed"]
    assert late[0]
    assert 0 < event.seconds < 1e5


def test_what_is_stored_is_the_whole_document(engine: Engine, files: dict[str, Path]) -> None:
    events = run_index(engine, *files.values())
    counts = events["done"][0].counts
    records = engine.documents()
    assert (counts.new, counts.failed) == (3, 0)
    assert counts.tokens == sum(record.tokens for record in records)
    assert counts.stored_bytes == sum(record.stored_bytes for record in records)
    store = engine.store()
    for record, path in zip(records, files.values(), strict=True):
        document = store.load_document(record.id)
        assert document.text.rstrip() == path.read_text("utf-8").rstrip()
        tree = stored_tree(store, record)
        chunks = [store.chunk_tokens(record.id, chunk) for chunk in range(record.chunks)]
        assert [len(one.token_ids) for one in chunks] == [
            tree.root(chunk).tokens for chunk in range(tree.chunks)
        ]
        for chunk in range(tree.chunks):
            kept = store.read_chunk(record.id, chunk)
            for level in (1, 2):
                slots = sum(tree.slots(node) for node in tree.level(chunk, level))
                assert kept[f"level{level}.keys"].shape == (1, 2, slots, 16)
                assert kept[f"level{level}.values"].shape == (1, 2, slots, 16)
            assert len(kept["summaries"]) == len(list(tree.nodes(chunk)))
    assert store.check().clean


def test_batches_do_not_change_what_is_stored(
    settings_for: Callable[..., Settings],
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[dict[str, torch.Tensor]] = []
    for name, size in (("one", 4096), ("many", 64)):
        monkeypatch.setattr(compressing, "BATCH_TOKENS", size)
        settings = settings_for()
        with Engine(settings_for(store=settings.store.with_name(name))) as engine:
            run_index(engine, files["a"])
            (record,) = engine.documents()
            assert record.chunks > 2
            chunks = range(record.chunks)
            found.append(
                {
                    f"{chunk} {key}": tensor
                    for chunk in chunks
                    for key, tensor in engine.store().read_chunk(record.id, chunk).items()
                }
            )
    assert found[0].keys() == found[1].keys()
    for key, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][key], rtol=2e-3, atol=1e-4)


# --- failures -------------------------------------------------------------------------------------


def test_a_file_that_fails_is_recorded_and_the_others_go_on(
    engine: Engine, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of the kind")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    names = ["broken.pdf", "empty.txt", "absent.txt", "blank.txt"]
    bad = [tmp_path / name for name in names]
    events = run_index(engine, bad[0], files["a"], *bad[1:], files["c"])
    assert _names(engine) == ["a.txt", "c.txt"]
    assert [Path(event.source).name for event in events["failed"]] == names
    for event in events["failed"]:
        assert event.reason.startswith(event.source)
    counts = events["done"][0].counts
    assert (counts.new, counts.failed) == (2, 4)
    failures = {failure.source: failure.reason for failure in engine.store().failures()}
    told = {event.source: event.reason for event in events["failed"]}
    assert failures == {
        source: reason.removeprefix(f"{source}: ")
        for source, reason in told.items()
        if not source.endswith("absent.txt")  # a name that leads nowhere is not kept
    }
    (tmp_path / "empty.txt").write_text(TIDE)
    run_index(engine, tmp_path / "empty.txt")
    assert str(tmp_path / "empty.txt") not in {one.source for one in engine.store().failures()}


def test_a_document_outlives_its_broken_file(engine: Engine, files: dict[str, Path]) -> None:
    run_index(engine, files["a"])
    files["a"].write_text("")
    events = run_index(engine, files["a"])
    assert events["done"][0].counts.failed == 1
    (record,) = engine.documents()
    assert engine.store().load_document(record.id).text.rstrip() == (LAMP * 3).rstrip()


class Interrupted(BaseException):
    """Like Ctrl-C."""


def test_an_interruption_leaves_no_half_document_and_the_next_run_goes_on(
    engine: Engine, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressing, "BATCH_TOKENS", 64)
    real = DocumentWriter.put_encoded
    finished = 0

    def put(writer: DocumentWriter, index: int, *rest: Any) -> None:
        nonlocal finished
        if finished == 1 and index == 2:  # in the middle of the second document
            raise Interrupted
        real(writer, index, *rest)

    def commit(writer: DocumentWriter) -> Any:
        nonlocal finished
        finished += 1
        return published(writer)

    published = DocumentWriter.commit
    monkeypatch.setattr(DocumentWriter, "commit", commit)
    monkeypatch.setattr(DocumentWriter, "put_encoded", put)
    with pytest.raises(Interrupted):
        run_index(engine, *files.values())
    assert _names(engine) == ["a.txt"]
    assert engine.store().check().clean
    assert engine.ask("What of the fog bell?").found is False
    monkeypatch.setattr(DocumentWriter, "put_encoded", real)
    counts = run_index(engine, *files.values())["done"][0].counts
    assert (counts.new, counts.unchanged) == (2, 1)
    assert _names(engine) == ["a.txt", "b.txt", "c.txt"]


def test_a_caller_that_stops_listening_leaves_no_half_document(
    engine: Engine, files: dict[str, Path]
) -> None:
    events = engine.index([str(path) for path in files.values()])
    for event in events:
        if event.kind == "compressing" and event.source == str(files["b"]):
            break
    events.close()  # type: ignore[attr-defined]
    assert _names(engine) == ["a.txt"]
    counts = run_index(engine, *files.values())["done"][0].counts
    assert (counts.new, counts.unchanged) == (2, 1)


# --- again ----------------------------------------------------------------------------------------


def test_an_unchanged_file_is_not_compressed_again(
    engine: Engine, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_index(engine, *files.values())
    before = engine.documents()

    def refuse(*_: Any) -> None:
        raise AssertionError("compressed again")

    monkeypatch.setattr(compressing, "_compressed", refuse)
    counts = run_index(engine, *files.values())["done"][0].counts
    assert (counts.unchanged, counts.new, counts.changed, counts.tokens) == (3, 0, 0, 0)
    assert engine.documents() == before
    with pytest.raises(AssertionError):
        run_index(engine, files["c"], force=True)


def test_a_changed_file_replaces_its_document(engine: Engine, files: dict[str, Path]) -> None:
    run_index(engine, *files.values())
    files["b"].write_text(TIDE + "The mole was mended.\n")
    events = run_index(engine, *files.values())
    assert events["indexed"][0].changed
    counts = events["done"][0].counts
    assert (counts.changed, counts.unchanged, counts.new) == (1, 2, 0)
    assert sorted(_names(engine)) == ["a.txt", "b.txt", "c.txt"]
    (record,) = engine.documents(["b.txt"])
    assert "mole was mended" in engine.store().load_document(record.id).text
    found = engine.ask("What of the mole?")
    assert found.sources[0].title == "b.txt"
    assert engine.ask("What of the fog bell?").found is False
    assert engine.store().check().clean


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders, each with a ``docs/README.md`` of its own, and one file more in the first."""
    made = tmp_path / "one", tmp_path / "two"
    for folder, text in zip(made, (LAMP, BELL), strict=True):
        (folder / "docs").mkdir(parents=True)
        (folder / "docs" / "README.md").write_text(text)
        os.utime(folder / "docs" / "README.md", (OLD, OLD))
    (made[0] / "docs" / "more.txt").write_text(TIDE)
    return made


def test_one_relative_path_in_two_working_directories_is_two_documents(
    engine: Engine, projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = projects
    monkeypatch.chdir(one)
    run_index(engine, Path("docs"))
    monkeypatch.chdir(two)
    events = run_index(engine, Path("docs"), prune=True)
    assert "removed" not in events
    assert "missing" not in events
    assert [event.changed for event in events["indexed"]] == [False]
    assert {record.path for record in engine.documents()} == {
        str(one / "docs" / "README.md"),
        str(one / "docs" / "more.txt"),
        str(two / "docs" / "README.md"),
    }
    (ours,) = engine.documents(["docs/README.md"])
    assert ours.path == str(two / "docs" / "README.md")
    monkeypatch.chdir(one)
    assert len(run_index(engine, Path("docs"))["unchanged"]) == 2
    (one / "docs" / "more.txt").unlink()
    assert len(run_index(engine, Path("docs"), prune=True)["removed"]) == 1
    assert len(engine.documents()) == 2


def test_equal_files_of_one_relative_path_are_two_documents(
    engine: Engine, projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = projects
    (two / "docs" / "README.md").write_text(LAMP)
    for folder in (one, two):
        monkeypatch.chdir(folder)
        run_index(engine, Path("docs/README.md"))
    first, second = engine.documents()
    assert first.document_sha256 == second.document_sha256
    assert first.id != second.id
    assert len(run_index(engine, Path("docs/README.md"))["unchanged"]) == 1


def test_a_path_that_is_spelt_otherwise_from_elsewhere_is_the_same_document(
    engine: Engine, projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = projects
    monkeypatch.chdir(one)
    run_index(engine, Path("docs/README.md"))
    monkeypatch.chdir(two)
    events = run_index(engine, Path("../one/docs/README.md"))
    assert [event.previous for event in events["renamed"]] == ["docs/README.md"]
    (record,) = engine.documents()
    assert (record.source, record.path) == (
        "../one/docs/README.md",
        str(one / "docs" / "README.md"),
    )


def test_a_folder_that_was_moved_keeps_its_trees(
    engine: Engine, projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = projects
    monkeypatch.chdir(one)
    run_index(engine, Path("docs/README.md"))
    monkeypatch.chdir(two)
    shutil.rmtree(two / "docs")
    (one / "docs").rename(two / "docs")
    events = run_index(engine, Path("docs/README.md"))
    assert "indexed" not in events
    (record,) = engine.documents()
    assert record.path == str(two / "docs" / "README.md")


def test_an_encoder_that_fails_to_load_is_told_each_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise CorruptionError("its file is damaged")

    monkeypatch.setattr("sharedcli.retrieve.embedding.load_encoder", broken)
    for _ in range(2):
        with pytest.raises(CorruptionError, match="damaged"):
            engine.encoder()


@pytest.mark.parametrize(
    "changes",
    [{"chunk_tokens": 128}, {"slot_choice": "last"}, {"slot_format": "int8"}, {"depth": 1}],
)
def test_other_settings_index_again(
    settings_for: Callable[..., Settings], files: dict[str, Path], changes: dict[str, Any]
) -> None:
    for settings, expected in (
        (settings_for(), (1, 0)),
        (settings_for(**changes), (0, 1)),
        (settings_for(**changes), (0, 0)),
    ):
        with Engine(settings) as engine:
            counts = run_index(engine, files["c"])["done"][0].counts
            assert (counts.new, counts.changed) == expected
            assert engine.ask("What of the tides?").found


def test_a_model_that_changes_under_way_is_noticed(
    engine: Engine, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents were compared under one identity; trees of another would not be found again."""
    run_index(engine, files["c"])
    seen = [engine.identity(), engine.model().tree_identity(engine.settings, "another")]
    monkeypatch.setattr(engine, "identity", lambda: seen.pop(0) if len(seen) > 1 else seen[0])
    with pytest.raises(SharedCLIError, match="changed while"):
        run_index(engine, files["c"], files["a"])
    assert _names(engine) == ["c.txt"]


def test_a_damaged_adapter_is_no_files_failure(
    settings_for: Callable[..., Settings], adapter_folder: Callable[..., str], tmp_path: Path
) -> None:
    folder = shutil.copytree(adapter_folder(), tmp_path / "damaged")
    (folder / "adapter.json").write_text("{", "utf-8")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(LAMP, "utf-8")
    with Engine(settings_for(adapter=str(folder))) as engine:
        with pytest.raises(UnreadableError, match="adapter"):
            run_index(engine, tmp_path / "a.txt", tmp_path / "b.txt")
        assert not list(engine.store().failures())


def test_a_file_does_not_take_an_imported_documents_place(
    engine: Engine, files: dict[str, Path], tmp_path: Path
) -> None:
    run_index(engine, files["c"])
    store = engine.store(create=True)
    (record,) = engine.documents()
    store.export(record.id, tmp_path / "c.tree")
    store.remove([record.id])
    taken_in = store.import_file(tmp_path / "c.tree")

    same = run_index(engine, files["c"])  # the same text: the document has found its file
    assert not same.get("failed")
    assert [one.path for one in engine.documents()] == [record.path]

    store.remove([record.id])
    taken_in = store.import_file(tmp_path / "c.tree")
    files["c"].write_text(TIDE * 2, "utf-8")
    for events in (list(engine.plan([str(files["c"])])), list(engine.index([str(files["c"])]))):
        (failed,) = [event for event in events if event.kind == "failed"]
        assert "imported; give --force" in failed.reason
        assert [one.id for one in engine.documents()] == [taken_in.id]
    files["b"].write_text(TIDE * 2, "utf-8")
    run_index(engine, files["b"])
    files["b"].rename(files["c"])  # a file that was known by another name takes its place no more
    assert run_index(engine, files["c"])["failed"]
    assert taken_in.id in [one.id for one in engine.documents()]
    store.remove([one.id for one in engine.documents() if one.id != taken_in.id])
    run_index(engine, files["c"], force=True)
    assert [one.path for one in engine.documents()] == [record.path]
    assert engine.documents()[0].document_sha256 != record.document_sha256
    assert not list(store.failures())


def test_freed_memory_goes_back_while_a_long_document_is_indexed(
    engine: Engine, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[None] = []
    monkeypatch.setattr(tree_maker, "return_freed_memory", lambda: returned.append(None))
    run_index(engine, files["a"])
    assert not returned
    monkeypatch.setattr(compressing, "BATCH_TOKENS", 128)
    monkeypatch.setattr(tree_maker, "_RETURN_TOKENS", 256)
    (event,) = run_index(engine, files["a"], force=True)["indexed"]
    assert event.record.tokens > 256
    assert len(returned) == 1 + event.record.tokens // 256
