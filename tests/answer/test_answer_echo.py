"""An answer may not end before it has said what its question has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sharedcli.answer.echo import MOST_TOKENS, EchoGuard, echoes
from sharedcli.model.tokens import tokenize_text
from sharedcli.retrieve.lexical import query_terms

WHY = "Why is the summer path closed in winter?"


@pytest.fixture
def tokenizer(tiny_base: Callable[..., Any]) -> Any:
    return tiny_base().tokenizer


def picked(tokenizer: Any, question: str, said: str, likeliest: list[str]) -> str:
    """What comes after ``said``; the first tokens of ``likeliest`` are so in this order."""
    guard = EchoGuard(tokenizer, question, frozenset([tokenizer.eos_token_id]))
    logits = torch.zeros(len(tokenizer))
    for place, text in enumerate(likeliest):
        logits[ids(tokenizer, text)[0]] = 10.0 - place
    for token in ids(tokenizer, said):
        guard.hear(token)
    before = logits.clone()
    best = int(guard.weigh(logits).argmax())
    assert torch.equal(logits, before)  # those that were given stay as they were
    return str(tokenizer.decode([best]))


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenize_text(tokenizer, text)[0].tolist()
    return found


@pytest.mark.parametrize(
    ("question", "said", "ends"),
    [
        (WHY, "The summer path is closed in winter", False),
        (WHY, "In winters summer paths are close", False),
        (WHY, "The summer path is closed in winter because of the snow", True),
        (WHY, "It is not known", True),
        (WHY, "", True),
        ("Is the summer path closed in winter?", "The summer path is closed in winter", True),
        ("Which one is closed, the path or the hut?", "The path is closed", True),
        ("Tell me of the path", "The path", True),
        ("Why is the path closed in winter.", "The path is closed in winter", False),
        ("What were sales in 2022?", "Sales in 2022", False),
        ("What were sales in 2022?", "Sales were 5", True),
        ("What were sales in 2022?", "Sales in 2023", True),
        ("Where was Corning Inc. founded?", "Corning Inc", True),
        ("In June? What were sales in 2022?", "In June the sales were", False),
    ],
)
def test_an_echo_may_not_end(tokenizer: Any, question: str, said: str, ends: bool) -> None:
    assert picked(tokenizer, question, said, [".", "x"]) == ("." if ends else "x")


def test_every_way_to_end_is_passed_over_and_what_goes_on_is_left_alone(tokenizer: Any) -> None:
    said = "The summer path is closed in winter"
    guard = EchoGuard(tokenizer, WHY, frozenset([tokenizer.eos_token_id]))
    for token in ids(tokenizer, said):
        guard.hear(token)
    logits = torch.zeros(len(tokenizer))
    ending = [tokenizer.eos_token_id, *(ids(tokenizer, text)[0] for text in (".", "!", "\n"))]
    logits[ending] = 5.0
    goes_on = ids(tokenizer, "x")[0]
    logits[goes_on] = 1.0
    assert int(guard.weigh(logits).argmax()) == goes_on
    logits[goes_on] = 9.0
    assert guard.weigh(logits) is logits


def test_a_blank_is_no_end(tokenizer: Any) -> None:
    """Many tokenizers write figures digit by digit, behind a blank of its own."""
    assert picked(tokenizer, WHY, "The summer path is closed in winter", [" ", "x"]) == " "


def test_it_ends_somewhere(tokenizer: Any) -> None:
    assert picked(tokenizer, WHY, " path" * MOST_TOKENS * 4, ["."]) == "."


def test_an_echo_has_words_and_no_others() -> None:
    asked = query_terms(WHY)
    assert echoes("The path is closed.", asked)
    assert not echoes("...", asked)
    assert not echoes("The path is closed at 4.", asked)
