"""Reading ahead changes when a file is read, not what comes out, nor whose fault an error is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.engine.ahead import ReadAhead
from sharedcli.engine.compressing import Computing
from sharedcli.engine.cutting import CutDocument, cut
from sharedcli.engine.engine import Engine
from sharedcli.errors import NoTextError, UnreadableError
from sharedcli.ingest.document import Document
from sharedcli.settings import Settings


def as_it_is(document: Document) -> Document:
    return document


def silent(_done: int, _total: int | None) -> None:
    return None


def test_the_next_file_is_read_and_cut_in_the_background(tmp_path: Path, tiny_base: Any) -> None:
    prepare = partial(cut, tokenizer=tiny_base("llama").tokenizer)
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text(LAMP)
    two.write_text(BELL * 9)
    ahead: ReadAhead[CutDocument]
    with ReadAhead() as ahead:
        now = ahead.read(one, silent)
        assert isinstance(now, Document)
        ahead.begin(two, 0, prepare)
        found = ahead.read(two, silent)
        assert isinstance(found, CutDocument)
        again = ahead.read(two, silent)
    assert isinstance(again, Document)
    assert found.document == again
    expected = prepare(again)
    assert found.passages == expected.passages
    assert (found.token_ids == expected.token_ids).all()
    assert (found.char_spans == expected.char_spans).all()


def test_what_was_read_for_another_turn_is_dropped(tmp_path: Path, tiny_base: Any) -> None:
    (tmp_path / "one.txt").write_text(LAMP)
    (tmp_path / "empty.txt").touch()
    ahead: ReadAhead[Document]
    with ReadAhead() as ahead:
        ahead.begin(tmp_path / "empty.txt", 0, as_it_is)
        found = ahead.read(tmp_path / "one.txt", silent)
        assert isinstance(found, Document)
        assert found.text.strip() == LAMP.strip()
        ahead.begin(tmp_path / "empty.txt", 0, as_it_is)
        with pytest.raises(NoTextError):
            ahead.read(tmp_path / "empty.txt", silent)


def test_several_files_are_read_ahead_in_their_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_text(f"{number}\n")
    ahead: ReadAhead[str]
    with ReadAhead() as ahead:
        for path in paths[:3]:
            ahead.begin(path, 10, lambda document: f"ahead {document.text.strip()}")
        assert ahead.begun == (3, 30)
        assert ahead.read(paths[0], silent) == "ahead 0"
        assert ahead.read(paths[2], silent) == "ahead 2"  # the turn of 1 never came
        assert ahead.begun == (0, 0)
        now = ahead.read(paths[3], silent)
        assert isinstance(now, Document)


def test_short_documents_are_begun_while_others_are_written(
    settings_for: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"a.txt": "one", "b.txt": "two", "c.txt": "three", "d.txt": BELL * 200, "e.txt": "five"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    begun: dict[str, bool] = {}
    begin = Computing.begin

    def told(computing: Computing) -> None:
        name = Path(computing.cut.document.source).name
        begun[name] = threading.current_thread().name.startswith("sharedcli-ahead")
        begin(computing)

    monkeypatch.setattr(Computing, "begin", told)
    with Engine(settings_for()) as engine:
        run_index(engine, *(tmp_path / name for name in texts))
        assert len(engine.documents()) == 5
    # the first is read when it comes, and the long one begun with
    assert begun == {"a.txt": False, "b.txt": True, "c.txt": True, "e.txt": True}


def test_a_file_that_was_not_begun_leaves_the_others(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).with_suffix(".txt").write_text(name)
    dropped: list[str] = []
    ahead: ReadAhead[str]
    with ReadAhead(dropped.append) as ahead:
        ahead.begin(tmp_path / "two.txt", 1, lambda document: document.text.strip())
        ahead.begin(tmp_path / "three.txt", 1, lambda document: document.text.strip())
        assert isinstance(ahead.read(tmp_path / "one.txt", silent), Document)
        assert ahead.begun == (2, 2)
        assert ahead.read(tmp_path / "three.txt", silent) == "three"
    assert dropped == ["two"]


def test_what_runs_aside_is_done_when_a_file_is_read_and_may_fail(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(LAMP)
    done: list[int] = []

    def fail() -> None:
        done.append(1)
        raise RuntimeError

    ahead: ReadAhead[Document]
    with ReadAhead() as ahead:
        ahead.aside(fail)
        ahead.read(tmp_path / "one.txt", silent)
        assert done == [1]
        ahead.aside(fail)
        with pytest.raises(UnreadableError):
            ahead.read(tmp_path / "absent.txt", silent)
        assert done == [1, 1]


def test_many_files_are_stored_as_if_one_by_one(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    texts = {"a.txt": LAMP * 20, "b.txt": "", "c.txt": BELL * 3, "d.txt": TIDE * 30}
    paths = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        paths.append(tmp_path / name)
    stores = []
    for name in ("together", "alone"):
        with Engine(settings_for(store=tmp_path / name)) as engine:
            for group in [paths] if name == "together" else [[path] for path in paths]:
                run_index(engine, *group)
            stores.append([(one.source, one.id, one.tokens) for one in engine.documents()])
            assert [failure.source for failure in engine.store().failures()] == [str(paths[1])]
    assert stores[0] == stores[1]
    assert len(stores[0]) == 3
