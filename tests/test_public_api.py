"""The names that ``import sharedcli`` offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sharedcli

_DOCS = Path(__file__).parents[1] / "docs" / "reference" / "python-api.md"


def test_every_public_name_is_there_and_listed() -> None:
    assert sharedcli.__all__ == sorted(sharedcli.__all__, key=lambda name: (name.islower(), name))
    for name in sharedcli.__all__:
        assert getattr(sharedcli, name) is not None
    assert set(sharedcli.__all__) <= set(dir(sharedcli))
    assert set(sharedcli._MODULE_OF) | {"__version__"} == set(sharedcli.__all__)


def test_every_public_name_is_documented() -> None:
    text = _DOCS.read_text(encoding="utf-8")
    assert [name for name in sharedcli.__all__ if f"`{name}" not in text] == []


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sharedcli.nothing


def test_import_is_lazy() -> None:
    code = (
        "import sys, sharedcli; sharedcli.Engine; sharedcli.Settings; sharedcli.read_document; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
