"""``sharedcli index``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedcli.cli.index import exit_code
from sharedcli.engine.events import IndexCounts

Cli = Callable[..., Any]
PROSE = "The fog bell was rung by hand twice in every minute of the night.\n"


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        (IndexCounts(), 0),
        (IndexCounts(new=1, skipped=2), 0),
        (IndexCounts(failed=1), 1),
        (IndexCounts(failed=1, skipped=1), 1),
        (IndexCounts(new=1, failed=1), 3),
        (IndexCounts(unchanged=1, failed=2), 3),
        (IndexCounts(changed=1, failed=1), 3),
    ],
)
def test_exit_code(counts: IndexCounts, code: int) -> None:
    assert exit_code(counts) == code


def test_files_by_what_becomes_of_them(cli: Cli, tmp_path: Path) -> None:
    Path("good.txt").write_text(PROSE)
    Path("empty.txt").touch()
    result = cli("index", "good.txt", "empty.txt", "gone.txt")
    assert result.code == 3
    assert result.out.startswith("1 new, 0 changed, 0 unchanged, 2 failed, 0 skipped · ")
    assert "tokens at" in result.out
    assert "✓ good.txt" in result.err
    assert "✗ empty.txt\n" in result.err
    assert "✗ gone.txt\n" in result.err
    table = result.err[result.err.index("FAILED") :].splitlines()
    assert table[0].split() == ["FAILED", "REASON"]
    assert table[1].split(maxsplit=1) == ["empty.txt", "is empty"]
    assert table[2].split(maxsplit=1)[1].startswith("does not exist")
    again = cli("index", "good.txt")
    assert (again.code, again.out) == (0, "0 new, 0 changed, 1 unchanged, 0 failed, 0 skipped\n")
    Path("good.txt").write_text(PROSE * 2)
    assert cli("index", "good.txt").out.startswith("0 new, 1 changed, 0 unchanged")
    assert cli("index", "good.txt", "--force").out.startswith("0 new, 1 changed")


def test_a_single_file_tells_its_reason_at_once(cli: Cli) -> None:
    Path("empty.txt").touch()
    result = cli("index", "empty.txt")
    assert result.code == 1
    assert result.err == "✗ empty.txt  is empty\n"


def test_a_single_failure_tells_its_reason_even_when_quiet(cli: Cli) -> None:
    Path("empty.txt").touch()
    result = cli("index", "empty.txt", "-q")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: empty.txt: is empty")


def test_quiet_says_nothing(cli: Cli) -> None:
    Path("good.txt").write_text(PROSE)
    result = cli("index", "good.txt", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_folder_without_documents_is_no_failure(cli: Cli) -> None:
    Path("empty").mkdir()
    result = cli("index", "empty")
    assert result.code == 0
    assert "no documents there" in result.err


def test_events_as_json_lines(cli: Cli) -> None:
    Path("a.txt").write_text(PROSE)
    Path("b.txt").touch()
    result = cli("index", "a.txt", "b.txt", "--json")
    assert result.code == 3
    events = result.lines
    assert {event["schema_version"] for event in events} == {1}
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("found", "done")
    assert events[0]["files"] == 2
    indexed = next(event for event in events if event["event"] == "indexed")
    assert indexed["file"] == indexed["document"]["source"] == "a.txt"
    assert indexed["changed"] is False
    failed = next(event for event in events if event["event"] == "failed")
    assert failed["file"] == "b.txt"
    assert "is empty" in failed["reason"]
    done = events[-1]
    assert (done["new"], done["failed"], done["unchanged"]) == (1, 1, 0)
    assert done["tokens"] == indexed["document"]["tokens"] > 0
    assert done["tokens_per_second"] > 0
    last = [event for event in events if event["event"] == "compressing"][-1]
    assert last["done_tokens"] == last["tokens"] == done["tokens"]


def test_standard_input(process: Cli) -> None:
    result = process("index", "-", "--json", stdin=PROSE)
    assert result.code == 0
    listed = process("list", "--json").json["documents"]
    assert [document["source"] for document in listed] == ["-"]


def test_without_the_encoder_there_is_one_note(
    cli: Cli, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    for name in ("a.txt", "b.txt"):
        Path(name).write_text(PROSE)
    result = cli("index", "a.txt", "b.txt", "--cache", str(tmp_path / "cache"))
    assert result.code == 0
    assert result.err.count("note: searching by full text alone") == 1
