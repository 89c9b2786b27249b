"""The man page and the completions are those of the command line, and work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sharedcli.cli.description import commands
from sharedcli.cli.manpage import exit_codes
from sharedcli.cli.static import main, static_files

FOLDER = Path(__file__).parents[2] / "docs" / "static"


@pytest.mark.parametrize("name", sorted(static_files()))
def test_the_files_are_current(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == static_files()[name], "run `python -m sharedcli.cli.static docs/static`"


def test_every_command_and_option_is_in_every_file() -> None:
    files = static_files()
    for command in commands():
        for option in command.options:
            for spelling in option.spellings:
                assert spelling.replace("-", "\\-") in files["sharedcli.1"]
                assert spelling in files["sharedcli.bash"]
                assert spelling in files["_sharedcli"]
                assert spelling.lstrip("-") in files["sharedcli.fish"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["ch"], {"chat", "check"}),
        (["index", "--pru"], {"--prune", "--pruning-layer"}),
        (["index", "--levels", ""], {"per_node", "nested"}),
        (["model", "f"], {"fetch"}),
        (["model", "fetch", "--off"], {"--offline"}),
        (["config", ""], {"show", "path"}),
        (["import", "no"], {"notes.tree"}),
        (["ask", "--seed", ""], set()),
        (["watch", "no"], {"notes.tree"}),
        (["train", "--data", "no"], {"notes.tree"}),
        (["bench", "latency", "--text", "no"], {"notes.tree"}),
        (["ask", "-f", "no"], {"notes.tree"}),
        (["index", "-f", "no"], {"notes.tree"}),
        (["show", "x", "--text", "no"], set()),
    ],
)
def test_bash_offers_what_fits(typed: list[str], offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "notes.tree").touch()
    script = (
        f"source {FOLDER / 'sharedcli.bash'}; "
        'COMP_WORDS=(sharedcli "$@"); COMP_CWORD=$#; _sharedcli; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-euc", script, "bash", *typed], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize(("shell", "name"), [("zsh", "_sharedcli"), ("fish", "sharedcli.fish")])
def test_other_shells_can_read_theirs(shell: str, name: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    done = subprocess.run([shell, "-n", str(FOLDER / name)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_roff_is_sound() -> None:
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", str(FOLDER / "sharedcli.1")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_exit_codes_are_those_of_the_errors() -> None:
    assert [code for code, _ in exit_codes()] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 130, 143]


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
