"""Questions as running text: the prompt of ``ask``, and the answer behind it.

The loss is on the answer alone. A teacher with full attention reads the whole context in the
prompt, where the trained model has slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from torch import Tensor

from sharedcli.answer.prompt import Excerpt, build_prompt
from sharedcli.training.samples import Running
from sharedcli.training.token_files import TokenisedQuestion, tokenise

PROMPT_TOKENS = 2048
"""Longest prompt, with its passages if it has some.

So long that passages are hardly ever cut: prompts of one context share what they begin with, which
is read once, only as long as the length of a question changes nothing of it.
"""
LONGEST_QUESTION = PROMPT_TOKENS - 512
"""Bytes of a question with its choices; a longer one might not fit a prompt."""
ANSWER_TOKENS = 512
"""Longer answers are cut: their beginning is what matters for learning to read."""


class QuestionPrompts:
    """Makes running texts with one base's tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._stop = _stop_ids(tokenizer)

    def running(
        self,
        rng: Random,
        question: TokenisedQuestion,
        evidence: tuple[int, int] | None,
        quoted: Sequence[Excerpt],
        context: Tensor,
    ) -> Running:
        """A question and one of its answers as running text.

        Args:
            rng: draws the answer.
            question: with its answers.
            evidence: the tokens of ``context`` that answer it; None if none do.
            quoted: passages for the prompt, best first.
            context: what is read [T].
        """
        asked = _spelt(question)
        answers = [text.strip() for text in question.answers if text.strip()]
        answer = question.reply or rng.choice(answers)
        prompt = build_prompt(self._tokenizer, asked, quoted, PROMPT_TOKENS).tokens
        ids = tokenise(self._lead(prompt) + answer, self._tokenizer)["input_ids"]
        ids = [*ids[:ANSWER_TOKENS], *self._stop]
        verbatim = self._verbatim(asked, context)
        return Running(
            tokens=torch.tensor([*prompt, *ids]),
            first_target=len(prompt),
            evidence=evidence,
            verbatim=torch.cat((verbatim, torch.tensor(ids))),
        )

    def _lead(self, prompt: Sequence[int]) -> str:
        """A space where the prompt ends in a word, as the plain prompt's "Answer:" does."""
        return "" if self._tokenizer.decode(prompt[-1:]).endswith(("\n", " ", ">")) else " "

    def _verbatim(self, question: str, context: Tensor) -> Tensor:
        """The prompt with the whole context in it, token by token, for full attention."""
        mark = "\ue001"
        room = PROMPT_TOKENS + 64
        framed = build_prompt(self._tokenizer, question, (Excerpt("document", mark),), room).tokens
        wanted = tokenise(mark, self._tokenizer)["input_ids"]
        size = len(wanted)
        for at in range(len(framed) - size + 1):
            if framed[at : at + size] == wanted:
                front, back = framed[:at], framed[at + size :]
                return torch.cat((torch.tensor(front), context, torch.tensor(back)))
        # the tokenizer merges the mark with its neighbours: put the context in front
        return torch.cat((context, torch.tensor(framed)))


def fits(question: TokenisedQuestion) -> bool:
    """Whether a question is short enough for a prompt, whatever its tokens."""
    return len(_spelt(question).encode("utf-8", "replace")) <= LONGEST_QUESTION


def _spelt(question: TokenisedQuestion) -> str:
    if not question.choices:
        return question.question
    return question.question + "\nChoices: " + "; ".join(c.strip() for c in question.choices)


def _stop_ids(tokenizer: Any) -> list[int]:
    """What ends an answer: the end of the assistant's turn, else the end-of-text token."""
    if getattr(tokenizer, "chat_template", None):
        mark = "\ue001"
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}]
        try:
            text = str(tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception:  # templates raise what they like
            text = ""
        ids = tokenizer(text.rpartition(mark)[2].strip(), add_special_tokens=False)["input_ids"]
        if ids and ids[0] in tokenizer.all_special_ids:
            return [int(ids[0])]
    return [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
