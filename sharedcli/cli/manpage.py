"""The man page ``sharedcli.1``, from the same declarations as ``--help``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sharedcli import errors
from sharedcli.cli.description import Command, Option

_ENVIRONMENT = (
    ("SHAREDCLI_HOME", "folder of the context trees"),
    ("SHAREDCLI_CACHE", "folder of fetched models"),
    ("SHAREDCLI_<SETTING>", "any setting that `sharedcli config show` lists"),
    ("HF_HUB_OFFLINE", "never touch the network"),
    ("SHAREDCLI_DEBUG", "show tracebacks"),
    ("NO_COLOR, FORCE_COLOR", "colours"),
)


def manpage(commands: Sequence[Command]) -> str:
    """Return the page as roff."""
    root = commands[0]
    lines = [
        '.\\" Generated from the command line itself; see docs/guides/completion.md.',
        '.TH SHAREDCLI 1 "" "sharedcli" "User Commands"',
        ".SH NAME",
        f"sharedcli \\- {_text(root.summary[:1].lower() + root.summary[1:])}",
        ".SH SYNOPSIS",
        ".B sharedcli",
        "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
        ".br",
        ".B sharedcli \\-\\-version",
        ".SH COMMANDS",
    ]
    shared = _shared(commands)
    for one in commands[1:]:
        lines += _command(one, {option.name for option in shared})
    lines.append(".SH SHARED OPTIONS")
    lines.append(_text("Which of them a command takes is shown by `sharedcli COMMAND --help`."))
    for panel in dict.fromkeys(option.panel for option in shared):
        lines.append(f".SS {_text(panel or 'General')}")
        for option in (one for one in shared if one.panel == panel):
            lines += _option(option)
    lines.append(".SH EXIT STATUS")
    for code, meaning in exit_codes():
        lines += [".TP", f".B {code}", _text(meaning)]
    lines.append(".SH ENVIRONMENT")
    for name, meaning in _ENVIRONMENT:
        lines += [".TP", f".B {_text(name)}", _text(meaning)]
    lines += [
        ".SH FILES",
        _text(
            "sharedcli.toml in the working directory or above it, and the user's config.toml "
            "(`sharedcli config path`) hold settings."
        ),
    ]
    return "\n".join(lines) + "\n"


def exit_codes() -> list[tuple[int, str]]:
    """Every exit code with what it means, from the errors themselves."""
    found = {0: "done", 130: "interrupted", 143: "ended by SIGTERM"}
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    for kind in kinds:
        if issubclass(kind, errors.SharedCLIError) and kind.exit_code not in found:
            found[kind.exit_code] = (kind.__doc__ or "").split("\n")[0].split(". ")[0].rstrip(".")
    found[1] = "failed"
    return sorted(found.items())


def _shared(commands: Sequence[Command]) -> list[Option]:
    """Options that more than one command takes."""
    uses: dict[str, list[Option]] = {}
    for one in commands:
        for option in one.options:
            uses.setdefault(option.name, []).append(option)
    return [found[0] for found in uses.values() if len(found) > 1 and found[0].panel]


def _command(command: Command, shared: set[str]) -> list[str]:
    arguments = " ".join(
        argument.metavar if argument.required else f"[{argument.metavar}]"
        for argument in command.arguments
    )
    name = " ".join(("sharedcli", *command.words))
    lines = [f".SS {_text(f'{name} {arguments}'.strip())}"]
    for paragraph in command.help.split("\n\n"):
        lines += [_text(paragraph), ".PP"]
    lines.pop()
    for option in command.options:
        if option.name not in shared:
            lines += _option(option)
    return lines


def _option(option: Option) -> list[str]:
    spellings = ", ".join(f"\\fB{_text(one)}\\fR" for one in option.spellings)
    value = f" \\fI{_text(option.value)}\\fR" if option.value else ""
    return [".TP", spellings + value, _text(option.help)]


def _text(text: str) -> str:
    """Text as roff: no character of it commands anything."""
    text = re.sub(r"\s+", " ", text).replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return f"\\&{text}" if text.startswith((".", "'")) else text
