"""Homes in paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharedcli.paths import home_path


def test_a_home_is_put_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_path("~/models") == tmp_path / "models"
    assert home_path(Path("~")) == tmp_path
    assert home_path("a/~/b") == Path("a/~/b")


def test_an_unknown_user_stands_for_itself() -> None:
    assert home_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
