"""Answers that people marked as a few words, put into sentences by the base itself.

A decoder that is taught to answer in fragments does so where it is wrong too, and nothing shows
it. The base puts an answer into a sentence well enough if it is shown nothing but the sentence of
the source that holds it. What it says is kept as the question's ``reply`` where it holds the marked
answer and makes nothing up; then it is in the base's own words, and right, and a decoder can be
taught to say the same behind a prompt that holds more. Where the source has no sentence, as in a
table, the question turned round will do; other questions are left out.

With ``--brief`` the marked words stay, and the question asks for them: no base is needed, nearly
all questions can be used, and what is learnt of reading serves the sentences, too.

    python -m sharedcli.training.phrasing replies.jsonl questions.jsonl
    python -m sharedcli.training.phrasing --brief short.jsonl questions.jsonl
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sharedcli.answer.attribution import words_alone
from sharedcli.answer.prompt import Excerpt, build_prompt
from sharedcli.answer.stream import stop_tokens
from sharedcli.model.base import Base, load_base
from sharedcli.training.data_rules import Fields
from sharedcli.training.records import Question, Record, read_records
from sharedcli.training.sentences import sentence_around, turned_round

REPLY_TOKENS = 48
"""Longer replies are dropped."""
BRIEF = " Answer in a few words."
"""What is put behind a question whose reply is the marked answer."""
BRIEF_WORDS = 8
"""Longer answers are not brief."""
LEAST_WORDS = 4
MOST_WORDS = 35
PROMPT_TOKENS = 512

_WORD = re.compile(r"\w+")
_PREAMBLE = re.compile(
    r"\A(?:the answer to (?:this|the) question is:?|according to the text,"
    r"|the text (?:says|states|suggests))\s*(?:that\s+)?",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"\A(?:a|an|the)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """A question to be put to the base with ``shown`` of its text; ``record`` is its document."""

    record: int
    question: Question
    shown: str


def phrase(base: Base, records: Sequence[Record], batch: int = 48) -> Iterator[dict[str, Any]]:
    """Yield JSON Lines records with ``reply`` for each question of ``records`` that has one.

    A record without any is kept: every so many documents of a file are held out of training, and
    those of this one must be the same.
    """
    replies: dict[int, list[tuple[Question, str]]] = {}
    waiting: list[Asked] = []
    for number, record in enumerate(records):
        for question in record.questions:
            shown = question.start >= 0 and sentence_around(
                record.text, question.start, question.end
            )
            if shown:
                waiting.append(Asked(number, question, shown))
            elif turned := turned_round(question.question, question.answers[0]):
                replies.setdefault(number, []).append((question, turned))
    # texts of like length together, so that little is padded
    waiting.sort(key=lambda asked: len(asked.shown))
    for first in range(0, len(waiting), batch):
        part = waiting[first : first + batch]
        for asked, reply in zip(part, _replies(base, part), strict=True):
            if acceptable(reply, asked.question, asked.shown):
                replies.setdefault(asked.record, []).append((asked.question, reply))
    for number, record in enumerate(records):
        yield _plain(record, replies.get(number, []))


def brief(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield JSON Lines records of questions for a few words that stand in their text.

    All records are kept, as by ``phrase``.
    """
    for record in records:
        found = [
            (replace(question, question=question.question.strip() + BRIEF), answer)
            for question in record.questions
            for answer in [question.answers[0].strip()]
            if question.start >= 0 and 0 < len(answer.split()) <= BRIEF_WORDS
        ]
        yield _plain(record, found)


def acceptable(reply: str, question: Question, shown: str) -> bool:
    """Whether a reply is one sentence that holds the marked answer and makes nothing up.

    Names and numbers of it must stand in the question or in what was shown.
    """
    words = _WORD.findall(reply)
    if not LEAST_WORDS <= len(words) <= MOST_WORDS or "\n" in reply or reply[-1] not in ".!?":
        return False
    known = set(_WORD.findall(f"{question.question} {shown}".casefold()))
    naming = [words[0]] if words[0][0].isdigit() else []
    naming += [word for word in words[1:] if word[0].isupper() or any(map(str.isdigit, word))]
    marked = _ARTICLE.sub("", question.answers[0].strip(), count=1)
    return (
        words_alone(marked) in words_alone(reply) and {word.casefold() for word in naming} <= known
    )


@torch.inference_mode()
def _replies(base: Base, asked: Sequence[Asked]) -> list[str]:
    """What the base says, greedily; "" where it does not come to an end."""
    prompts = [
        build_prompt(
            base.tokenizer, one.question.question, [Excerpt("document", one.shown)], PROMPT_TOKENS
        ).tokens
        for one in asked
    ]
    longest = max(map(len, prompts))
    stop = sorted(stop_tokens(base.model.config, base.tokenizer))
    padding = stop[0]
    tokens = torch.tensor([[padding] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    device = base.model.device
    generate: Any = base.model.generate
    said = generate(
        tokens.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=REPLY_TOKENS,
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=padding,
    )
    replies: list[str] = []
    for row in said[:, longest:].tolist():
        end = next((at for at, token in enumerate(row) if token in stop), None)
        reply = "" if end is None else str(base.tokenizer.decode(row[:end])).strip()
        reply = _PREAMBLE.sub("", reply)
        replies.append(reply[:1].upper() + reply[1:])
    return replies


def _plain(record: Record, found: Sequence[tuple[Question, str]]) -> dict[str, Any]:
    asked = [
        {"question": q.question, "answers": list(q.answers), "start": q.start, "reply": reply}
        for q, reply in found
    ]
    return {"source": record.source, "context": record.text, "qa": asked}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the questions of JSON Lines with replies by the base."""
    parser = argparse.ArgumentParser(
        prog="python -m sharedcli.training.phrasing", description=__doc__
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("questions", type=Path, nargs="+")
    parser.add_argument("--model", default="default")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--brief", action="store_true", help="the marked words, asked for")
    given = parser.parse_args(arguments)
    base = None if given.brief else load_base(given.model)
    with given.output.open("w", encoding="utf-8") as out:
        for path in given.questions:
            records = list(read_records(path, Fields()))
            for record in brief(records) if base is None else phrase(base, records, given.batch):
                out.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
