"""The running text of a benchmark: the same tokens, prompt and question for every method."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharedcli.answer.prompt import build_prompt
from sharedcli.errors import UsageError
from sharedcli.ingest.reader import DocumentReader
from sharedcli.model.tokens import tokenize_text

QUESTION = "What is the call sign of the station, and how are its batteries kept?"
SAMPLE = "halvard-ridge.txt"


@dataclass(frozen=True)
class Sample:
    """A context of exactly so many tokens, and what is asked of it.

    Attributes:
        text: the context.
        tokens: its token ids, [C].
        prompt: token ids of the running text [T]: the product's own prompt without passages.
        question: token ids of the bare question, for the search.
    """

    text: str
    tokens: Tensor
    prompt: Tensor
    question: Tensor

    def first(self, tokens: int) -> Sample:
        """The same with a shorter context, for warming up; its text is about as long."""
        share = min(1.0, tokens / len(self.tokens))
        text = self.text[: math.ceil(share * len(self.text))]
        return replace(self, text=text, tokens=self.tokens[:tokens])


def source_text(path: str | None) -> str:
    """Text of a document, or of the sample that ships with the package."""
    if path is None:
        return (files("sharedcli.samples") / SAMPLE).read_text(encoding="utf-8")
    with DocumentReader() as reader:
        return reader.read(Path(path)).text


def make_sample(tokenizer: Any, source: str, tokens: int) -> Sample:
    """Cut a context of ``tokens`` tokens out of a text, which is repeated where it is shorter.

    Raises:
        UsageError: the text is empty.
    """
    unit = source.strip() + "\n\n"
    per_unit = len(tokenize_text(tokenizer, unit)[0]) if source.strip() else 0
    if not per_unit:
        raise UsageError("there is no text in the benchmark's document; give another with --text")
    text = unit * (tokens // per_unit + 2)
    ids, spans = tokenize_text(tokenizer, text)
    prompt = build_prompt(tokenizer, QUESTION, [], 1 << 20)
    return Sample(
        text[: int(spans[tokens - 1][1])],
        _tensor(ids[:tokens]),
        torch.tensor(prompt.tokens),
        _tensor(tokenize_text(tokenizer, QUESTION)[0]),
    )


def _tensor(ids: np.ndarray) -> Tensor:
    return torch.from_numpy(ids.astype(np.int64))
