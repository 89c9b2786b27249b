"""What the command line imports: Rich only in ``render*.py``, torch only when it is needed."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sharedcli.cli

_FOLDER = Path(sharedcli.cli.__file__).parent
_PROBE = """
import sys
from sharedcli.cli.run import run
code = run(sys.argv[1:])
heavy = sorted({"torch", "transformers", "numpy"} & set(sys.modules))
sys.stderr.write(f"{code} {heavy}\\n")
"""


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_only_render_modules_import_rich() -> None:
    paths = list(_FOLDER.glob("*.py"))
    drawing = {path.name for path in paths if "rich" in _imported(path)}
    assert "render.py" in drawing
    assert {name for name in drawing if not name.startswith("render")} == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("ask", "--help"),
        ("list",),
        ("list", "--json"),
        ("show", "notes.txt"),
        ("tree", "notes.txt", "--json"),
        ("status",),
        ("path",),
        ("config", "show"),
        ("model", "list"),
    ],
)
def test_quick_commands_import_no_torch(
    library: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    code, heavy = done.stderr.strip().splitlines()[-1].split(" ", 1)
    assert code == "0"
    assert not {"torch", "transformers"} & set(ast.literal_eval(heavy))


def test_help_is_for_terminals_of_any_kind(process: Callable[..., Any]) -> None:
    result = process("--help", TERM="dumb")
    assert result.code == 0
    assert "\x1b" not in result.out
