"""Documents with unique words, questions with ``--doc``: no word of another document ever shows.

python tests/reliability/canary_trial.py --documents 200 --questions 400 --restarts 5

Looked at for every question: the prompt that the decoder gets, the documents whose slots are read,
the answer, and every citation.
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trial_setup as setup

from sharedcli.engine import asking
from sharedcli.engine.engine import Engine
from sharedcli.settings import Settings, default_cache

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def word(rng: random.Random) -> str:
    """A word that no text holds by chance."""
    return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(5))


def write_documents(folder: Path, count: int, seed: int) -> list[tuple[str, str, str]]:
    """Write documents of the same form; return path, name of the station, and its own word."""
    rng = random.Random(seed)
    words = set()
    while len(words) < 2 * count:
        words.add(word(rng))
    drawn = sorted(words)
    rng.shuffle(drawn)
    folder.mkdir()
    made = []
    for number in range(count):
        station, secret = drawn[2 * number].title(), drawn[2 * number + 1]
        path = folder / f"station {number:03d}.txt"
        path.write_text(
            f"The station of {station} keeps its own book. The lamp is lit at dusk.\n"
            f"The password of the station of {station} is {secret}. It is changed in spring.\n"
            + "The keeper notes wind, tide and passing ships, and signs every page.\n"
            * 6
        )
        made.append((str(path), station, secret))
    return made


@contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """Note what the decoder is given: the prompt's text, and whose slots."""
    seen: dict[str, Any] = {"prompt": "", "slots": set()}
    build, read = asking.build_prompt, asking.read_context

    def build_prompt(tokenizer: Any, *arguments: Any, **named: Any) -> Any:
        prompt = build(tokenizer, *arguments, **named)
        seen["prompt"] = tokenizer.decode(prompt.tokens)
        return prompt

    def read_context(store: Any, frontiers: Any, *rest: Any) -> Any:
        seen["slots"] = {frontier.doc_id for frontier in frontiers}
        return read(store, frontiers, *rest)

    asking.build_prompt, asking.read_context = build_prompt, read_context
    try:
        yield seen
    finally:
        asking.build_prompt, asking.read_context = build, read


def trial(
    settings: Settings, folder: Path, documents: int, questions: int, *, restarts: int
) -> Counter[str]:
    """Index, then ask about one document at a time, every second time for another one's word."""
    made = write_documents(folder, documents, seed=0)
    rng = random.Random(1)
    outcomes: Counter[str] = Counter(documents=documents, questions=questions)
    with Engine(settings) as engine:
        for _ in engine.index([str(folder)]):
            pass
        outcomes["indexed"] = len(engine.documents())
    each = max(1, -(-questions // (restarts + 1)))
    asked = 0
    with watched() as seen:
        while asked < questions:
            with Engine(settings) as engine:
                for _ in range(min(each, questions - asked)):
                    own = rng.randrange(documents)
                    other = rng.randrange(documents) if asked % 2 else own
                    outcomes.update(_ask(engine, made, (own, other), seen))
                    asked += 1
            outcomes["starts"] += 1
    return outcomes


def _ask(
    engine: Engine,
    made: list[tuple[str, str, str]],
    pair: tuple[int, int],
    seen: dict[str, Any],
) -> dict[str, int]:
    """Ask about the first document of ``pair`` for the word of the second; say what showed."""
    own, other = pair
    seen.update(prompt="", slots=set())
    path, _, secret = made[own]
    record = engine.documents([path])[0]
    answer = engine.ask(f"What is the password of the station of {made[other][1]}?", [path])
    text = answer.read()
    prompt = seen["prompt"].split("Question:")[0]  # the question itself may name another station
    shown = [text, prompt, *(f"{one.quote} {one.title} {one.doc}" for one in answer.sources)]
    foreign = {word for n, (_, _, word) in enumerate(made) if n != own}
    leaked = any(word in part for word in foreign for part in shown)
    strange = {one.doc_id for one in answer.sources} | seen["slots"]
    mine = own == other
    return {
        "leaks": int(leaked or bool(strange - {record.id})),
        "own word in the prompt": int(mine and secret in prompt),
        "own word in the answer": int(mine and secret in text),
        "with slots": int(bool(seen["slots"])),
    }


def main() -> None:
    """Run the trial at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--model", default="tiny", help="tiny, or as for sharedcli")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tiny = options.model == "tiny"
        settings = Settings(
            store=place / "store",
            cache=place / "cache" if tiny else default_cache(),
            model=str(setup.tiny_model(place / "model")) if tiny else options.model,
            device="cpu",
            dtype="float32",
            offline=True,
            inject="always",
            max_tokens=24,
            **setup.SIZES,
        )
        found = trial(
            settings,
            place / "documents",
            options.documents,
            options.questions,
            restarts=options.restarts,
        )
        setup.report(f"canaries ({options.model})", **found)


if __name__ == "__main__":
    main()
