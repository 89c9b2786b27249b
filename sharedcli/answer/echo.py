"""Let no answer end before it has said something that its question has not.

A small decoder answers "Why is the path closed in winter?" with "The path is closed in winter.": a
sentence that takes up the question, and ends where the answer would begin. So ends of sentences
and of the text are ruled out until a word has come that the question does not have; mostly the
answer follows ("because of ..."). Where none is known the decoder is unsure of what it is made to
say, and the verdict hears of it.

It stays out of questions that may be answered in their own words ("Does ...?", "A or B?") and of
what asks nothing.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from sharedcli.retrieve.follow_up import ASKING, YES_OR_NO
from sharedcli.retrieve.lexical import query_terms

MOST_TOKENS = 64
"""Tokens after which an answer may end whatever it said."""

_TRIES = 64
"""Likeliest tokens among which one that goes on is looked for."""

_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"\s*[.!?\n]")
_STEM = 4
"""Letters that words of one stem begin with at least: "close", "closed"."""


class EchoGuard:
    """Rules tokens out that would end an echo of ``question``.

    Args:
        tokenizer: the base's.
        question: as it is asked; with the one before, if it goes on.
        stop: token ids that end an answer.
    """

    def __init__(self, tokenizer: Any, question: str, stop: frozenset[int]) -> None:
        words = _WORD.findall(question.casefold())
        asks = not ASKING.isdisjoint(words) and words[0] not in YES_OR_NO and "or" not in words
        self._question = question.rstrip()[:-1]  # the mark at its end tells nothing
        self._asked = query_terms(question)
        self._tokenizer = tokenizer
        self._stop = stop
        self._said: list[int] | None = [] if asks else None

    def hear(self, token: int) -> None:
        """Take note of a token of the answer."""
        if self._said is not None:
            self._said.append(token)

    def weigh(self, logits: Tensor) -> Tensor:
        """Logits [V] of the next token, without those that would end what says nothing yet."""
        if not self._said or not self._ends(int(logits.argmax())):
            return logits
        text = self._tokenizer.decode(self._said, skip_special_tokens=True)
        if len(self._said) > MOST_TOKENS or not echoes(text, self._asked):
            self._said = None  # it has said something: the rest is free
            return logits
        if f"{text.split()[-1]}." in self._question:
            return logits  # an abbreviation or a figure: "Inc. of New York", "3.5"
        return self._going_on(logits)

    def _going_on(self, logits: Tensor) -> Tensor:
        free = logits.clone()
        for token in logits.topk(min(_TRIES, len(logits))).indices.tolist():
            if not self._ends(token):
                return free
            free[token] = -torch.inf
        return logits

    def _ends(self, token: int) -> bool:
        return token in self._stop or bool(_ENDING.match(self._tokenizer.decode([token])))


def echoes(text: str, asked: list[str]) -> bool:
    """Whether ``text`` has words, and none but those of ``asked`` and such as mean little."""
    words = query_terms(text)
    figures = [word for word in _WORD.findall(text) if word.isdigit()]
    return bool(words) and all(
        any(_alike(word, other) for other in asked) for word in (*words, *figures)
    )


def _alike(word: str, other: str) -> bool:
    """Whether they are one word, or forms of one: "close" and "closed", but not 2022 and 2023."""
    shared = max(_STEM, min(len(word), len(other)) - 2)
    return word == other or (word[:shared] == other[:shared] and not word.isdigit())
