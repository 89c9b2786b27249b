"""Questions that text itself answers: hidden facts, and how a quotation goes on.

Sets of questions about long documents are small and their answers are often to be guessed. A probe
cannot be guessed: its answer is a made-up number or name at one place of the text, or the words
that follow a quotation. It teaches the compressor to keep, and the decoder to find, what stands in
the slots.

    python -m sharedcli.training.probes probes.jsonl books.jsonl --without bleak-house
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from sharedcli.training.data_rules import Fields
from sharedcli.training.records import read_records

_OWNERS = (
    "the harbour master", "Mrs. Ferrand", "the north archive", "Doctor Iwasaki", "the glass works",
    "the second expedition", "Captain Rourke", "the tram depot", "the old observatory", "Anselm",
    "the salt mine", "the night ferry", "Professor Ndiaye", "the bakery", "the east wing",
    "the printing house", "Signora Bellini", "the signal tower", "the orchard", "the lower vault",
)  # fmt: skip
_THINGS = (
    "locker number", "access code", "account number", "case number", "telephone extension",
    "inventory number", "secret number", "catalogue number", "registration", "lucky number",
)  # fmt: skip
_PLACES = (
    "Varnholm", "Castel Rosso", "Port Emmery", "Oakhurst", "Lindau Mill", "Saint Orban", "Tverskoy",
    "Marrow Bay", "Elm Crossing", "Fort Dunmore", "Ashgrove", "Kirrin", "Belmonte", "Hollow Ford",
)  # fmt: skip
_NUMBERS = (
    "{who} has the {thing} {n}.",
    "The {thing} of {who} is {n}.",
    "Remember that the {thing} for {who} is {n}.",
    "For {who} the {thing} was set to {n}.",
)
_STAYS = (
    ("{who} spent that winter in {place}.", "Where did {who} spend that winter?"),
    ("The papers of {who} are kept in {place}.", "Where are the papers of {who} kept?"),
    ("{who} comes from {place}.", "Where does {who} come from?"),
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])")
_QUOTABLE = re.compile(r"^[A-Za-z][\w ,;'’-]+$")


def make_probes(
    texts: Sequence[tuple[str, str]], documents: int, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield records of ``documents`` pieces of ``texts`` (name, text) with questions about them."""
    rng = Random(seed)
    weights = [len(text) for _, text in texts]
    made = 0
    while made < documents:
        name, text = rng.choices(texts, weights)[0]
        size = rng.randint(2500, 7000)
        start = rng.randrange(max(1, len(text) - size))
        sentences = _SENTENCE_END.split(" ".join(text[start : start + size].split()))[1:-1]
        if len(sentences) < 12:
            continue
        asked = _quotations(rng, sentences) + _facts(rng, sentences)
        rng.shuffle(asked)
        context = " ".join(sentences)
        usable = [one for one in asked if context.count(one["answers"][0]) == 1]
        if usable:
            yield {"source": f"{name}/{made}", "context": context, "qa": usable}
            made += 1


def _facts(rng: Random, sentences: list[str]) -> list[dict[str, Any]]:
    """Hide facts between ``sentences``, in place; return the questions for them."""
    asked: list[dict[str, Any]] = []
    for who in rng.sample(_OWNERS, 4):
        if rng.random() < 0.75:
            thing = rng.choice(_THINGS)
            digits = rng.randint(3, 7)
            answer = str(rng.randrange(10 ** (digits - 1), 10**digits))
            fact = rng.choice(_NUMBERS).format(who=who, thing=thing, n=answer)
            question = f"What is the {thing} of {who}?"
        else:
            answer = rng.choice(_PLACES)
            said, asks = rng.choice(_STAYS)
            fact, question = said.format(who=who, place=answer), asks.format(who=who)
        sentences.insert(rng.randrange(len(sentences)), fact[0].upper() + fact[1:])
        asked.append({"question": question, "answers": [answer]})
    return asked


def _quotations(rng: Random, sentences: Sequence[str]) -> list[dict[str, Any]]:
    """Questions for the words that follow the beginning of a sentence."""
    asked: list[dict[str, Any]] = []
    fitting = [s for s in sentences if len(s.split()) >= 14 and _QUOTABLE.match(s.rstrip(".!?"))]
    for sentence in rng.sample(fitting, min(4, len(fitting))):
        words = sentence.rstrip(".!?").split()
        given = rng.randint(4, 7)
        question = f'Which words follow "{" ".join(words[:given])}"?'
        asked.append(
            {"question": question, "answers": [" ".join(words[given : given + rng.randint(4, 8)])]}
        )
    return asked


def main(arguments: Sequence[str] | None = None) -> None:
    """Write probes about the long texts of JSON Lines."""
    parser = argparse.ArgumentParser(
        prog="python -m sharedcli.training.probes", description=__doc__
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--without", action="append", default=[], help="names to leave out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    texts = [
        (record.source, record.text)
        for path in given.texts
        for record in read_records(path, Fields())
        if not any(name in record.source for name in given.without)
    ]
    with given.output.open("w", encoding="utf-8") as out:
        for record in make_probes(texts, given.documents, given.seed):
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
