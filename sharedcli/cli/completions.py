"""Shell completions as static files: bash, zsh and fish.

They know commands, options and fixed choices, and run no Python: completing costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sharedcli.cli.description import Command, Option

_HEAD = "# Completion of sharedcli for {shell}. Generated; see docs/guides/completion.md."


def bash(commands: Sequence[Command]) -> str:
    """The script for bash; needs nothing but bash itself."""
    known = " ".join(f'"{" ".join(one.words)}"' for one in commands if one.words)
    lines = [
        _HEAD.format(shell="bash"),
        "_sharedcli() {",
        '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"',
        '  local command="" next word i options="" words="" files=""',
        f"  local -a known=({known})",
        "  for ((i = 1; i < COMP_CWORD; i++)); do",
        '    next="${command:+$command }${COMP_WORDS[i]}"',
        '    for word in "${known[@]}"; do',
        '      [[ $word == "$next" ]] && command="$next"',
        "    done",
        "  done",
        '  case "$command $prev" in',
    ]
    for pattern, option in _valued(commands):
        if option.choices:
            words = " ".join(option.choices)
            reply = f'COMPREPLY=($(compgen -W "{words}" -- "$cur"))'
        elif option.takes_path:
            reply = 'COMPREPLY=($(compgen -f -- "$cur"))'
        else:
            reply = "COMPREPLY=()"
        lines.append(f"    {pattern}) {reply}; return ;;")
    lines += ["  esac", '  case "$command" in']
    for one in commands:
        options = " ".join(s for option in one.options for s in option.spellings)
        files = "1" if any(argument.takes_path for argument in one.arguments) else ""
        lines.append(
            f'    "{" ".join(one.words)}") options="{options} --help" '
            f'words="{" ".join(one.subcommands)}" files="{files}" ;;'
        )
    lines += [
        "  esac",
        "  if [[ $cur == -* ]]; then",
        '    COMPREPLY=($(compgen -W "$options" -- "$cur"))',
        "  elif [[ -n $words ]]; then",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "  elif [[ -n $files ]]; then",
        '    COMPREPLY=($(compgen -f -- "$cur"))',
        "  fi",
        "}",
        "complete -o filenames -F _sharedcli sharedcli",
    ]
    return "\n".join(lines) + "\n"


def zsh(commands: Sequence[Command]) -> str:
    """The function for zsh, to be put into a folder of ``fpath`` as ``_sharedcli``."""
    lines = ["#compdef sharedcli", _HEAD.format(shell="zsh"), ""]
    for one in commands:
        lines += [f"{_function(one)}() {{", "  local curstate line state", "  _arguments -C \\"]
        for option in one.options:
            lines += [f"    {spec} \\" for spec in _zsh_option(option)]
        if one.subcommands:
            lines += ["    '1: :->command' '*:: :->rest'", "  case $state in", "    command)"]
            lines += ["      local -a commands=("]
            below = [sub for sub in commands if sub.words[:-1] == one.words and sub.words]
            lines += [f"        {_quoted(f'{sub.words[-1]}:{sub.summary}')}" for sub in below]
            lines += ["      )", "      _describe command commands ;;", "    rest)"]
            lines += ["      case $words[1] in"]
            lines += [f"        {sub.words[-1]}) {_function(sub)} ;;" for sub in below]
            lines += ["      esac ;;", "  esac", "}", ""]
        else:
            action = "_files" if any(a.takes_path for a in one.arguments) else " "
            lines += [f"    '*:{_zsh_message(one)}:{action}'", "}", ""]
    lines.append('_sharedcli "$@"')
    return "\n".join(lines) + "\n"


def fish(commands: Sequence[Command]) -> str:
    """The script for fish."""
    lines = [_HEAD.format(shell="fish"), "complete -c sharedcli -f"]
    for one in commands:
        condition = _fish_condition(one, commands)
        for name in one.subcommands:
            sub = next(c for c in commands if c.words == (*one.words, name))
            lines.append(f"complete -c sharedcli -n {condition} -a {name} -d {_fish(sub.summary)}")
        if any(argument.takes_path for argument in one.arguments):
            lines.append(f"complete -c sharedcli -n {condition} -F")
        for option in one.options:
            parts = [f"complete -c sharedcli -n {condition}"]
            parts += [
                f"-l {s[2:]}" if s.startswith("--") else f"-s {s[1:]}" for s in option.spellings
            ]
            if option.value is not None:
                parts.append("-r -F" if option.takes_path else "-x")
            if option.choices:
                parts.append(f"-a {_fish(' '.join(option.choices))}")
            lines.append(" ".join([*parts, f"-d {_fish(option.help)}"]))
    return "\n".join(lines) + "\n"


def _valued(commands: Sequence[Command]) -> Iterator[tuple[str, Option]]:
    """Patterns of bash for a command and an option of it that takes a value, and that option."""
    uses: dict[str, list[tuple[str, Option]]] = {}
    for one in commands:
        for option in one.options:
            for spelling in option.spellings:
                uses.setdefault(spelling, []).append((" ".join(one.words), option))
    for spelling, found in uses.items():
        kinds = {(o.value is None, o.choices, o.takes_path) for _, o in found}
        if len(kinds) == 1 and found[0][1].value is not None:
            yield f'*" {spelling}"', found[0][1]
        elif len(kinds) > 1:  # a switch of one command, a value of another
            for words, option in found:
                if option.value is not None:
                    yield f'"{words} {spelling}"', option


def _function(command: Command) -> str:
    return "_".join(("_sharedcli", *command.words))


def _zsh_option(option: Option) -> list[str]:
    text = option.help.replace("[", "(").replace("]", ")").replace(":", " -")
    value = ""
    if option.choices:
        value = f":{option.name}:({' '.join(option.choices)})"
    elif option.value is not None:
        value = f":{option.name}:{'_files' if option.takes_path else ' '}"
    star = "*" if option.repeated else ""
    return [_quoted(f"{star}{spelling}[{text}]{value}") for spelling in option.spellings]


def _zsh_message(command: Command) -> str:
    return " ".join(argument.metavar for argument in command.arguments).replace("'", "") or " "


def _fish_condition(command: Command, commands: Sequence[Command]) -> str:
    seen = [f"__fish_seen_subcommand_from {word}" for word in command.words]
    if command.subcommands and command.words:
        seen.append(f"not __fish_seen_subcommand_from {' '.join(command.subcommands)}")
    if not command.words:
        seen = ["__fish_use_subcommand"]
    return _fish("; and ".join(seen))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
