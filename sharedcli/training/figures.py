"""Made-up reports whose sentences hold several figures or names of a kind, with questions for one.

A small decoder finds the right sentence and takes the wrong number out of it: the highest for the
lowest, the fuel's for the wages', the contact for the chief. Texts that people wrote and asked
about have few such sentences. These have little else; what they say is drawn anew for each report.

    python -m sharedcli.training.figures figures.jsonl --documents 300
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SUBJECTS = (
    "the harbour museum", "the Brenner Company", "the island school", "Lindqvist & Sons",
    "the river lock", "the botanical garden", "the mountain railway", "the Ostrava works",
    "the town library", "the fishing fleet", "Calloway Industries", "the old observatory",
    "the water board", "the theatre", "Marchetti Foods", "the seed bank", "the salt works",
)  # fmt: skip
_FIRST = (
    "Anna", "Rashid", "Elena", "Tomas", "Grace", "Yusuf", "Ingrid", "Paul", "Mei", "Olga", "Samuel",
    "Lucia", "Henrik", "Fatima", "Victor", "Nora", "Dmitri", "Clara", "Kofi", "Beatrice",
)  # fmt: skip
_LAST = (
    "Brandt", "Okafor", "Silva", "Lindholm", "Haddad", "Novak", "Whitfield", "Tanaka", "Moreau",
    "Kowalski", "Ferrari", "Adeyemi", "Sorensen", "Petrov", "Castillo", "Greene", "Varga", "Iqbal",
)  # fmt: skip
_PLACES = (
    "Varnholm", "Castel Rosso", "Port Emmery", "Oakhurst", "Saint Orban", "Tverskoy", "Marrow Bay",
    "Elm Crossing", "Fort Dunmore", "Ashgrove", "Belmonte", "Hollow Ford", "the west hall",
    "the boat house", "the chapel", "the market square",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_WORDS = (
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_BLANK = re.compile(r"\{(it|[a-z]\d)\}")


def _count(rng: Random) -> str:
    return rng.choice(_WORDS) if rng.random() < 0.5 else str(rng.randint(2, 240))


def _money(rng: Random) -> str:
    if rng.random() < 0.5:
        return f"${rng.randint(10, 999) / 10} {rng.choice(('million', 'billion'))}"
    return f"{rng.randint(2, 900_000):,} {rng.choice(('crowns', 'dollars', 'euros'))}"


def _time(rng: Random) -> str:
    hour = rng.choice(_WORDS[:11])
    return rng.choice((f"{hour} o'clock", f"half past {hour}", f"{rng.randint(5, 22)}:30"))


def _date(rng: Random) -> str:
    day = f"{rng.choice(_MONTHS)} {rng.randint(1, 28)}"
    return f"{day}, {rng.randint(1950, 2024)}" if rng.random() < 0.5 else day


KINDS: dict[str, Callable[[Random], str]] = {
    "n": _count,
    "c": lambda rng: f"{rng.randint(250, 60_000):,}",
    "x": lambda rng: str(rng.randint(11, 990) / 10),
    "m": _money,
    "p": lambda rng: f"{rng.choice(_FIRST)} {rng.choice(_LAST)}",
    "d": _date,
    "t": _time,
    "h": lambda rng: f"{_count(rng)} {rng.choice(('minutes', 'hours', 'days'))}",
    "w": lambda rng: rng.choice(_PLACES),
    "k": lambda rng: f"{rng.randint(2, 99)}%",
}
"""What blanks are filled with, by their first letter."""


def make_reports(documents: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield records of JSON Lines: a report of 8 to 14 facts, and questions with replies."""
    rng = Random(seed)
    facts = tomllib.loads((files(__package__) / "figures.toml").read_text("utf-8"))["facts"]
    for number in range(documents):
        subject = rng.choice(_SUBJECTS)
        context, asked = "", []
        for fact in rng.sample(facts, rng.randint(8, 14)):
            drawn = _draw(rng, fact["say"], subject)
            if context:
                context += "\n\n" if rng.random() < 0.25 else " "
            said, places = _fill(fact["say"], drawn)
            for question, reply in fact["ask"]:
                # what the question names is not what it asks for
                blank = next(name for name in _BLANK.findall(reply) if name not in question)
                asked.append(
                    {
                        "question": _fill(question, drawn)[0],
                        "answers": [drawn[blank]],
                        "start": len(context) + places[blank],
                        "reply": _fill(reply, drawn)[0],
                    }
                )
            context += said
        yield {"source": f"report-{number}", "context": context, "qa": asked}


def _draw(rng: Random, sentence: str, subject: str) -> dict[str, str]:
    """What the blanks of a sentence stand for; none holds another one."""
    drawn = {"it": subject}
    for name in _BLANK.findall(sentence):
        while name not in drawn:
            value = KINDS[name[0]](rng)
            if not any(value in other or other in value for other in drawn.values()):
                drawn[name] = value
    return drawn


def _fill(text: str, drawn: dict[str, str]) -> tuple[str, dict[str, int]]:
    """The text with its blanks filled, as a sentence, and where each begins."""
    filled, read = "", 0
    places: dict[str, int] = {}
    for blank in _BLANK.finditer(text):
        filled += text[read : blank.start()]
        places.setdefault(blank[1], len(filled))
        filled += drawn[blank[1]]
        read = blank.end()
    filled += text[read:]
    return filled[0].upper() + filled[1:], places


def main(arguments: Sequence[str] | None = None) -> None:
    """Write reports as JSON Lines."""
    parser = argparse.ArgumentParser(
        prog="python -m sharedcli.training.figures", description=__doc__
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with given.output.open("w", encoding="utf-8") as out:
        for record in make_reports(given.documents, given.seed):
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
