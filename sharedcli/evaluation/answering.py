"""Let an opened method answer: a greedy text, or the likeliest letter."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

import torch

from sharedcli.answer.echo import EchoGuard
from sharedcli.answer.grounds import Grounds
from sharedcli.answer.repetition import without_repetition
from sharedcli.answer.stream import decode_stream, stop_tokens
from sharedcli.answer.verdict import when_sure
from sharedcli.evaluation.methods.contract import Opened, Workbench
from sharedcli.retrieve.gate import Support


def answer_text(opened: Opened, bench: Workbench, question: str, max_tokens: int) -> str:
    """Return the greedy answer to ``question``, at most ``max_tokens`` tokens.

    As with ``ask`` it is never that the answer is not stated, and does not end as an echo.
    """
    return "".join(_pieces(opened, bench, question, max_tokens)).strip()


def refuses(
    opened: Opened, bench: Workbench, question: str, max_tokens: int, support: Support
) -> bool:
    """Whether the decoder refuses, as ``ask`` does.

    Afterwards ``opened.verdict``, which there must be, tells why.
    """
    verdict = opened.verdict
    assert verdict is not None, "the adapter was taught to tell"
    grounds = Grounds(question, support.absent, support.weights, opened.shown)
    refusals: list[bool] = []
    pieces = _pieces(opened, bench, question, max_tokens)
    next(when_sure(pieces, verdict, grounds, lambda: refusals.append(True)), None)
    return bool(refusals)


def _pieces(opened: Opened, bench: Workbench, question: str, max_tokens: int) -> Iterator[str]:
    stop = stop_tokens(bench.model.base.config, bench.tokenizer)
    guard = EchoGuard(bench.tokenizer, question, stop)

    def tokens() -> Iterator[int]:
        logits = opened.stream.read(opened.prompt)[-1]
        for number in range(max_tokens):
            logits = guard.weigh(logits)
            token = int((opened.verdict.weigh(logits) if opened.verdict else logits).argmax())
            if token in stop:
                return
            guard.hear(token)
            yield token
            if number + 1 < max_tokens:
                logits = opened.stream.read(torch.tensor([token]))[-1]

    return without_repetition(decode_stream(bench.tokenizer, tokens()))


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
