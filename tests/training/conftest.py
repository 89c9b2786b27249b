"""Small training data, and jobs that train a tiny base on it in a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

WORDS = ("tide", "ship", "book", "market", "rates", "what", "report", "risks", "weather", "day")
TOY = (
    "minutes=0",
    "steps=6",
    "precision=fp32",
    "save_steps=2",
    "adapter.geometry.chunk_tokens=64",
    "adapter.geometry.slots_per_node=4",
    "adapter.geometry.depth=3",
    "adapter.injected_layers=2",
    "adapter.compressor_rank=4",
    "adapter.decoder_rank=4",
    "stages.batch=2",
    "stages.curriculum.context_tokens=[64,150]",
    "stages.curriculum.running_tokens=[24]",
    "evaluation.context_tokens=96",
    "evaluation.running_tokens=24",
    "evaluation.samples=2",
    "evaluation.every_minutes=0",
)


def prose(rng: Random, words: int) -> str:
    """Words in random order, in sentences."""
    text = [rng.choice(WORDS) for _ in range(words)]
    return " ".join(word + ("." if i % 9 == 8 else "") for i, word in enumerate(text))


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes JSON Lines into the test's folder and returns the path."""

    def write(name: str, rows: list[Any]) -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def long_text(write_lines: Callable[..., Path]) -> Path:
    """Thirty documents of some 200 tokens."""
    rng = Random(0)
    return write_lines(
        "long.jsonl",
        [{"source": f"doc-{i}", "text": f"Number {i}. {prose(rng, 120)}"} for i in range(30)],
    )


@pytest.fixture
def asked_text(write_lines: Callable[..., Path]) -> Path:
    """Twenty passages with two questions each, one of them quoted from the passage."""
    rng = Random(1)
    rows = []
    for i in range(20):
        secret = f"{rng.choice(WORDS)} {i} {rng.choice(WORDS)}"
        context = f"{prose(rng, 30)} The word of day {i} is {secret}. {prose(rng, 30)}"
        rows.append(
            {
                "source": f"passage-{i}",
                "context": context,
                "qa": [
                    {"question": f"What is the word of day {i}?", "answers": [secret]},
                    {
                        "question": "Is it long?",
                        "answers": ["neither"],
                        "choices": ["yes", "neither", "no"],
                    },
                ],
            }
        )
    return write_lines("asked.jsonl", rows)


@pytest.fixture
def toy_job(
    tiny_folder: Callable[[str], Path], cache: Path, tmp_path: Path, long_text: Path
) -> Callable[..., Any]:
    """A function ``(*overrides, recipe="lm", **fields) -> Job`` on a tiny base."""

    def make(*overrides: str, recipe: str = "lm", **fields: Any) -> Any:
        from sharedcli.training.prepare import Job
        from sharedcli.training.recipe_files import load_recipe

        given: dict[str, Any] = {
            "recipe": load_recipe(recipe, [*TOY, *overrides]),
            "data": (str(long_text),),
            "output": tmp_path / "run",
            "model": str(tiny_folder("llama")),
            "device": "cpu",
            "cache": cache,
        }
        return Job(**{**given, **fields})

    return make
