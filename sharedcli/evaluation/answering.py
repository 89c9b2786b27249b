"""Let an opened method answer: a greedy text, or the likeliest letter."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

import torch

from sharedcli.answer.repetition import without_repetition
from sharedcli.answer.stream import decode_stream, stop_tokens
from sharedcli.evaluation.methods.contract import Opened, Workbench


def answer_text(opened: Opened, bench: Workbench, max_tokens: int) -> str:
    """Return the greedy answer, at most ``max_tokens`` tokens; never that it is not stated."""
    stop = stop_tokens(bench.model.base.config, bench.tokenizer)

    def tokens() -> Iterator[int]:
        logits = opened.stream.read(opened.prompt)[-1]
        if opened.verdict is not None and (allowed := opened.verdict.weigh(logits)) is not None:
            logits = allowed
        for number in range(max_tokens):
            token = int(logits.argmax())
            if token in stop:
                return
            yield token
            if number + 1 < max_tokens:
                logits = opened.stream.read(torch.tensor([token]))[-1]

    return "".join(without_repetition(decode_stream(bench.tokenizer, tokens()))).strip()


def answer_letter(opened: Opened, bench: Workbench, options: int) -> str:
    """Return the letter that the base finds likeliest as the first token of its answer.

    A small base seldom writes a letter by itself; comparing the letters' probabilities is how
    multiple choice is commonly scored.
    """
    logits = opened.stream.read(opened.prompt)[-1]
    best = {
        letter: max(float(logits[token]) for token in _letter_tokens(bench.tokenizer, letter))
        for letter in ascii_uppercase[:options]
    }
    return max(best, key=lambda letter: best[letter])


def _letter_tokens(tokenizer: Any, letter: str) -> set[int]:
    """First tokens of the letter with and without a blank before it, where it is in them."""
    found: set[int] = set()
    for text in (letter, f" {letter}"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        found.update(token for token in ids[:1] if letter in tokenizer.decode([token]))
    if not found:  # a tokenizer that writes the blank as a token of its own
        found.add(tokenizer(letter, add_special_tokens=False)["input_ids"][-1])
    return found
