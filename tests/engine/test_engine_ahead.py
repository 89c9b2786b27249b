"""Reading ahead changes when a file is read, not what comes out, nor whose fault an error is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_samples import BELL, LAMP, TIDE, run_index

from sharedcli.engine.ahead import CutDocument, ReadAhead, cut
from sharedcli.engine.engine import Engine
from sharedcli.errors import NoTextError, UnreadableError
from sharedcli.ingest.document import Document
from sharedcli.settings import Settings


def silent(_done: int, _total: int | None) -> None:
    return None


def test_the_next_file_is_read_and_cut_in_the_background(tmp_path: Path, tiny_base: Any) -> None:
    tokenizer = tiny_base("llama").tokenizer
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text(LAMP)
    two.write_text(BELL * 9)
    with ReadAhead() as ahead:
        now = ahead.read(one, silent)
        assert isinstance(now, Document)
        ahead.begin(two, tokenizer)
        found = ahead.read(two, silent)
        assert isinstance(found, CutDocument)
        again = ahead.read(two, silent)
    assert isinstance(again, Document)
    assert found.document == again
    expected = cut(again, tokenizer)
    assert found.passages == expected.passages
    assert (found.token_ids == expected.token_ids).all()
    assert (found.char_spans == expected.char_spans).all()


def test_what_was_read_for_another_turn_is_dropped(tmp_path: Path, tiny_base: Any) -> None:
    (tmp_path / "one.txt").write_text(LAMP)
    (tmp_path / "empty.txt").touch()
    with ReadAhead() as ahead:
        ahead.begin(tmp_path / "empty.txt", tiny_base("llama").tokenizer)
        found = ahead.read(tmp_path / "one.txt", silent)
        assert isinstance(found, Document)
        assert found.text.strip() == LAMP.strip()
        ahead.begin(tmp_path / "empty.txt", tiny_base("llama").tokenizer)
        with pytest.raises(NoTextError):
            ahead.read(tmp_path / "empty.txt", silent)


def test_what_runs_aside_is_done_when_a_file_is_read_and_may_fail(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(LAMP)
    done: list[int] = []

    def fail() -> None:
        done.append(1)
        raise RuntimeError

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
