"""Training documents as they are read: text, and questions about it where there are any.

JSON Lines of two kinds are known: long text, ``{"source", "text"}``, and passages with questions,
``{"source", "context", "qa": [{"question", "answers", "start"?, "reply"?, "choices"?}]}``. A line
that is neither is refused with its number: half-read data would train a model that nobody asked
for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sharedcli.errors import UnreadableError
from sharedcli.ingest import sanitise
from sharedcli.training.data_rules import Fields


@dataclass(frozen=True)
class Question:
    """A question, its acceptable answers, and the choices if it is multiple choice.

    ``start`` and ``end`` are the character span within the document that the answer was found
    in, (-1, -1) where it is not quoted from there. ``reply`` is what is to be said instead of the
    bare answer, "" where that is the answer itself.
    """

    question: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    start: int = -1
    end: int = -1
    reply: str = ""


@dataclass(frozen=True)
class Record:
    """One training document."""

    source: str
    text: str
    questions: tuple[Question, ...] = field(default=())


def read_records(path: Path, fields: Fields) -> Iterator[Record]:
    """Yield the documents of a JSON Lines file.

    Raises:
        UnreadableError: the file cannot be read, or a line does not fit; names the line.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _record(line, f"{path}, line {number}", fields)
    except OSError as error:
        raise UnreadableError(
            f"{path} cannot be read ({error.strerror}); check the name and its permissions"
        ) from error


def _record(line: bytes, place: str, fields: Fields) -> Record:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(":")[0]
        raise UnreadableError(
            f"{place} is not JSON ({reason}); correct or delete the line"
        ) from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{place} is not a JSON object; correct or delete the line")
    source = _string(value.get(fields.source, ""), fields.source, place)
    if fields.text in value:
        return Record(source, sanitise(_string(value[fields.text], fields.text, place)))
    if fields.context not in value:
        raise UnreadableError(
            f"{place} has neither {fields.text!r} nor {fields.context!r}; it has "
            f"{', '.join(map(repr, list(value)[:6])) or 'nothing'}: name the keys in the recipe's "
            "[data.fields]"
        )
    text = sanitise(_string(value[fields.context], fields.context, place))
    asked = value.get(fields.questions, [])
    if not isinstance(asked, list):
        raise UnreadableError(f"{place}: {fields.questions!r} must be a list; correct the line")
    return Record(source, text, tuple(_question(item, text, place, fields) for item in asked))


def _question(value: Any, text: str, place: str, fields: Fields) -> Question:
    if not isinstance(value, dict) or fields.question not in value:
        raise UnreadableError(
            f"{place}: an entry of {fields.questions!r} has no {fields.question!r}; correct it"
        )
    question = sanitise(_string(value[fields.question], fields.question, place)).strip()
    answers = _strings(value.get(fields.answers, []), fields.answers, place)
    choices = _strings(value.get(fields.choices, []), fields.choices, place)
    if not any(answer.strip() for answer in answers):
        raise UnreadableError(
            f"{place}: the question {question[:60]!r} has no answer; correct or delete it"
        )
    first = next(answer for answer in answers if answer.strip()).strip()
    start = _place(first, text, value.get(fields.start), place)
    end = start + len(first) if start >= 0 else -1
    reply = sanitise(_string(value.get(fields.reply, ""), fields.reply, place)).strip()
    return Question(question, answers, choices, start, end, reply)


def _place(answer: str, text: str, near: Any, place: str) -> int:
    """Where ``answer`` stands in ``text``: the place nearest to ``near``, else the first one."""
    if near is None:
        return text.find(answer)
    if not isinstance(near, int) or isinstance(near, bool):
        raise UnreadableError(
            f"{place}: an answer's place is {near!r}; give the number of its first character"
        )
    near = max(0, near)
    # what was made safe in the text may have moved it
    around = (text.rfind(answer, 0, near + len(answer)), text.find(answer, near))
    return min((at for at in around if at >= 0), key=lambda at: abs(at - near), default=-1)


def _string(value: Any, key: str, place: str) -> str:
    if not isinstance(value, str):
        raise UnreadableError(
            f"{place}: {key!r} must be a string, not {type(value).__name__}; correct the line"
        )
    # JSON may spell half a surrogate pair, which no tokenizer takes
    return value.encode("utf-8", "replace").decode("utf-8")


def _strings(value: Any, key: str, place: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        raise UnreadableError(f"{place}: {key!r} must be a list of strings; correct the line")
    return tuple(sanitise(_string(item, key, place)) for item in values)


def join_by_source(records: Iterable[Record]) -> list[Record]:
    """Join the passages of each source to one document, in order; questions keep their places."""
    groups: dict[str, list[Record]] = {}
    for number, record in enumerate(records):
        groups.setdefault(record.source or f"#{number}", []).append(record)
    joined: list[Record] = []
    for source, parts in groups.items():
        text, questions = "", []
        for part in parts:
            text += "\n\n" if text else ""
            questions += [_moved(question, len(text)) for question in part.questions]
            text += part.text
        joined.append(Record(source, text, tuple(questions)))
    return joined


def _moved(question: Question, by: int) -> Question:
    if question.start < 0:
        return question
    return replace(question, start=question.start + by, end=question.end + by)
