"""Damaged configuration files and variables, and what is done with their values next."""

import random
from pathlib import Path

from fuzz_mutate import mutated
from fuzz_run import Run

from sharedcli.cli.session import json_line
from sharedcli.errors import SharedCLIError
from sharedcli.settings import NAMES, load_settings
from sharedcli.store.store import Store

WHOLE = b"""# the team's settings
model = "default"
revision = 'main'
budget = 512
passages = 3
temperature = 0.5
top_p = 1e0
offline = true
quota = "20GB"
store = "../trees"
cache = "~/cache"
slot-format = "int8"
chunk_tokens = 1_024
color = "never"
"""
_SHORT = rb"""
    1 0 -1 1e999 nan inf 0x7fffffffffffffff 9999999999999999999999999999 1_000 true false "" "a"
    '~' "~nobody/x" "~" "/" "a\u0000b" "\ud800" "\U0010FFFF" [] [1,2] [[[[]]]] {} {a=1} {a={b=1}}
    1979-05-27 07:32:00 1979-05-27T07:32:00Z 2000-13-41 3.14 1e-400 "none" "20GB" "1e3" "-5MiB"
    '''y''' "9999999TiB" "0.0000001k" "/dev/null" "/proc/self/mem" "." "\n"
"""
_LONG = (b"9" * 5000, b"[" * 3000, b'"' + b"x" * 5000 + b'"', b"{a=" * 2000, b"0b" + b"1" * 70)
VALUES = (*_SHORT.split(), *_LONG)
SYNTAX = (*b"= . [ ] [[ ]] \" ''' # , \\u".split(), b"\n", b"\r", b"\0")
WORDS = (*VALUES, *SYNTAX, *(name.encode() for name in NAMES))


def fuzz_settings(place: Path, rng: random.Random, run: Run) -> None:
    """Load damaged settings, tell them as ``config show --json`` does, and look for the store."""
    project = place / "project" / "sharedcli.toml"
    project.parent.mkdir(parents=True)
    user = place / "config.toml"
    while not run.over():
        files = {user: _file(rng), project: _file(rng) if rng.random() < 0.3 else b""}
        environ = _environ(rng) if rng.random() < 0.3 else {}
        for file, data in files.items():
            file.write_bytes(data)
        try:
            settings = load_settings({}, environ=environ, directory=project.parent, user=user)
            for one in settings.explain():
                json_line({"name": one.name, "value": str(one.value), "origin": one.origin})
            run.count("read")
            if rng.random() < 0.05:
                Store.open(settings.store).close()
        except SharedCLIError:
            run.count("refused")
        except Exception as error:
            said = b"\n---\n".join((*files.values(), repr(environ).encode()))
            run.keep(error, said, ".toml")


def _file(rng: random.Random) -> bytes:
    """The whole file damaged, or a line or two of any name and any value."""
    if rng.random() < 0.5:
        return mutated(rng, WHOLE, WORDS)
    lines = []
    for name in rng.sample(NAMES, rng.choice((1, 1, 2, 5))):
        value = rng.choice(VALUES)
        lines.append(
            name.encode() + b" = " + (value if rng.random() < 0.7 else mutated(rng, value))
        )
    return b"\n".join(lines)


def _environ(rng: random.Random) -> dict[str, str]:
    """Variables as an operating system hands them over: any bytes but NUL."""
    found = {}
    for name in rng.sample((*NAMES, "home", "debug", "strange"), rng.choice((1, 2, 4))):
        value = mutated(rng, rng.choice(VALUES).strip(b'"')).replace(b"\0", b"")
        found[f"SHAREDCLI_{name.upper()}"] = value.decode("utf-8", "surrogateescape")
    return found
