"""Tokens of training documents on disk: written once, then mapped into memory.

A data file becomes ``<key>.tokens``, token ids one behind the other as 16 or 32 bit numbers, and
``<key>.json`` with the documents' places and questions. The key is a digest of the data's bytes,
of the tokenizer and of how the text is prepared, so a changed file is tokenised again and an
unchanged one never. The JSON file is written last: where it is, the tokens are complete.

Special tokens that stand in a document are text there, and are tokenised as such.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sharedcli.training.records import Question, Record

VERSION = 2
_BATCH = 64


@dataclass(frozen=True)
class TokenisedQuestion:
    """A ``Question`` with the token span of its answer in the document; (-1, -1) if not quoted."""

    question: str
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    start: int
    end: int
    reply: str = ""


@dataclass(frozen=True)
class TokenisedDocument:
    """Place of one document in its file, half-open."""

    source: str
    start: int
    end: int
    questions: tuple[TokenisedQuestion, ...] = ()

    @property
    def tokens(self) -> int:
        """Length."""
        return self.end - self.start


class TokenFile:
    """Documents of one data file as tokens."""

    def __init__(self, path: Path, documents: Sequence[TokenisedDocument], wide: bool) -> None:
        self.path = path
        self.documents = tuple(documents)
        self._ids: NDArray[Any] = np.memmap(path, np.uint32 if wide else np.uint16, "r")

    def slice(self, start: int, end: int) -> Tensor:
        """Token ids from ``start`` to ``end`` of the file, int64 [end - start]."""
        return torch.from_numpy(self._ids[start:end].astype(np.int64))


def tokenise(text: str | Sequence[str], tokenizer: Any, *, offsets: bool = False) -> Any:
    """Token ids of document text; ``offsets`` adds each token's character span."""
    return tokenizer(
        text,
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_offsets_mapping=offsets,
        verbose=False,
    )


def open_token_file(folder: Path, key: str) -> TokenFile | None:
    """The token file of that key if it is there and complete."""
    path, index = folder / f"{key}.tokens", folder / f"{key}.json"
    try:
        table = json.loads(index.read_text(encoding="utf-8"))
        wide = bool(table["wide"])
        if path.stat().st_size != int(table["tokens"]) * (4 if wide else 2):
            return None
        return TokenFile(path, [_document(value) for value in table["documents"]], wide)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_token_file(
    folder: Path, key: str, records: Iterable[Record], tokenizer: Any
) -> TokenFile | None:
    """Tokenise ``records``; None if they hold no token.

    An end-of-text token follows each document, so that short neighbours can be read as one text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, index = folder / f"{key}.tokens", folder / f"{key}.json"
    wide = len(tokenizer) > 1 << 16
    kind = np.uint32 if wide else np.uint16
    between = _separator(tokenizer)
    documents: list[TokenisedDocument] = []
    total = 0
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as stream:
        for record, ids, spans in _tokenised(records, tokenizer):
            if not ids:
                continue
            np.asarray(ids + between, dtype=kind).tofile(stream)
            questions = tuple(_placed(question, spans) for question in record.questions)
            end = total + len(ids)
            documents.append(TokenisedDocument(record.source, total, end, questions))
            total = end + len(between)
    if not documents:
        part.unlink()
        return None
    part.replace(path)
    table = {"wide": wide, "tokens": total, "documents": [asdict(d) for d in documents]}
    part.write_text(json.dumps(table), encoding="utf-8")
    part.replace(index)
    return TokenFile(path, documents, wide)


def _tokenised(
    records: Iterable[Record], tokenizer: Any
) -> Iterator[tuple[Record, list[int], list[tuple[int, int]]]]:
    waiting = iter(records)
    while batch := list(islice(waiting, _BATCH)):
        asked = any(record.questions for record in batch)
        encoded = tokenise([record.text for record in batch], tokenizer, offsets=asked)
        spans = encoded["offset_mapping"] if asked else [[]] * len(batch)
        yield from zip(batch, encoded["input_ids"], spans, strict=True)


def _separator(tokenizer: Any) -> list[int]:
    if tokenizer.eos_token_id is not None:
        return [int(tokenizer.eos_token_id)]
    ids: list[int] = tokenise("\n\n", tokenizer)["input_ids"]
    return ids


def _placed(question: Question, spans: Sequence[tuple[int, int]]) -> TokenisedQuestion:
    """Where the answer's characters are among the tokens."""
    start = end = -1
    if question.start >= 0:
        inside = [i for i, (a, b) in enumerate(spans) if b > question.start and a < question.end]
        if inside:
            start, end = inside[0], inside[-1] + 1
    return TokenisedQuestion(
        question.question, question.answers, question.choices, start, end, question.reply
    )


def _document(value: dict[str, Any]) -> TokenisedDocument:
    questions = tuple(
        TokenisedQuestion(**{**q, "answers": tuple(q["answers"]), "choices": tuple(q["choices"])})
        for q in value["questions"]
    )
    return TokenisedDocument(value["source"], value["start"], value["end"], questions)
