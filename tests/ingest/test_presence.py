"""In doubt a file counts as present."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sharedcli.ingest.presence import is_gone, lies_in
from sharedcli.ingest.sanitise import printable_path


def test_gone_is_what_has_no_name_any_more(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    assert is_gone(str(file))
    file.touch()
    assert not is_gone(str(file))
    assert is_gone(str(file / "below"))
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert not is_gone(str(tmp_path / "link"))
    assert not is_gone(str(tmp_path / ("x" * 5000)))
    assert not is_gone("\0")


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_odd_names_are_found_under_their_printable_form(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"a\x1b\xff.txt")
    odd.touch()
    source = printable_path(odd)
    assert "\\x1b" in source
    assert not is_gone(source)
    odd.unlink()
    assert is_gone(source)
    assert is_gone(str(tmp_path / "no folder" / "a\\x1b.txt"))
    inside = tmp_path / "b\x1b"
    inside.mkdir()
    (inside / "c.txt").touch()
    assert not is_gone(printable_path(inside / "c.txt"))


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="needs a user")
def test_what_may_not_be_seen_is_not_gone(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    try:
        assert not is_gone(str(folder / "a.txt"))
    finally:
        folder.chmod(0o700)


def test_inside_is_by_name() -> None:
    assert lies_in("papers/a.txt", "papers")
    assert lies_in("papers/x/a.txt", "./papers/")
    assert lies_in("a.txt", ".")
    assert not lies_in("papers", "papers")
    assert not lies_in("papers-old/a.txt", "papers")
    assert not lies_in("a.txt", "papers")
    assert not lies_in("\0", ".")
