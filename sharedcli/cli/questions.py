"""``ask --questions FILE``: many questions, one load of the model, JSON Lines out.

A line that cannot be answered is told in its place, and the others go on.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sharedcli.cli import payloads
from sharedcli.cli.session import Session, json_line
from sharedcli.cli.wording import plural
from sharedcli.errors import (
    NotInDocumentsError,
    SharedCLIError,
    SomeFilesFailedError,
    UsageError,
)

LINE_CHARS = 200_000
_KEYS = {"id", "question", "doc"}
_HALF = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True)
class Question:
    """One line: the question, what the caller calls it, and which documents it is about."""

    text: str
    id: object = None
    documents: tuple[str, ...] = ()


def answer_all(session: Session, file: str, documents: list[str]) -> int:
    """Answer every question of a JSON Lines file and return the exit code.

    0: all have an answer; 3: some failed; 4: the documents answer none; 1: all failed.
    """
    found = asked = failed = 0
    with _opened(file) as stream, session.activity as activity:
        activity.update("loading the model")
        session.engine.store()
        session.engine.model().lay_out()
        for number, line in _lines(stream):
            asked += 1
            activity.update(f"question {asked}")
            head: dict[str, Any] = {"line": number}
            try:
                question = parse(line)
                head["id"] = question.id
                answer = session.engine.ask(question.text, question.documents or documents)
                answer.read()
            except SharedCLIError as error:
                failed += 1
                activity.stop()  # or data would be written into its line
                told = {"type": type(error).__name__, "message": str(error)}
                session.emit({**head, "error": {**told, "exit_code": error.exit_code}})
                continue
            found += answer.found
            activity.stop()
            session.emit({**head, **payloads.answer(answer)})
    session.terminal.aside(
        f"{plural(asked, 'question')}: {found} answered, {asked - found - failed} not in the "
        f"documents, {failed} failed"
    )
    if failed:
        return SomeFilesFailedError.exit_code if failed < asked else SharedCLIError.exit_code
    return NotInDocumentsError.exit_code if asked and not found else 0


def parse(line: str) -> Question:
    """Read one line: an object with "question" and perhaps "id" and "doc", or a string.

    Raises:
        UsageError: it is neither.
    """
    if len(line) > LINE_CHARS:
        raise UsageError(f"the line is longer than {LINE_CHARS:,} characters; shorten the question")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the line is no JSON ({error}); {_form()}") from None
    if isinstance(value, str):
        value = {"question": value}
    if not isinstance(value, dict) or not isinstance(value.get("question"), str):
        raise UsageError(f"the line has no question; {_form()}")
    if unknown := sorted(set(value) - _KEYS):
        raise UsageError(f"unknown key {unknown[0]!r}; {_form()}")
    try:
        json_line({"id": value.get("id")})  # it comes back in the answer
    except (ValueError, RecursionError) as error:
        raise UsageError(f'"id" cannot be written as JSON ({error}); {_form()}') from None
    return Question(value["question"], value.get("id"), _documents(value.get("doc")))


def _documents(chosen: object) -> tuple[str, ...]:
    """What "doc" names; nothing at all where it is left out."""
    named = [] if chosen is None else [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise UsageError(f'"doc" must be a string or a list of strings; {_form()}')
    for one in named:
        if not one.strip() or _HALF.search(one):
            raise UsageError(
                f'"doc" names no document with {one!r}; leave it out to ask about all of them'
            )
    return tuple(named)


def _form() -> str:
    return (
        'write {"question": "...", "id": "...", "doc": ["..."]}, of which only the first is needed'
    )


def _lines(stream: IO[str]) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not blank; no line is read further than needed."""
    number = 0
    while line := stream.readline(LINE_CHARS + 1):
        number += 1
        whole = line
        while not line.endswith("\n") and (line := stream.readline(LINE_CHARS)):
            pass  # the rest of a line that is too long
        if whole.strip():
            yield number, whole.strip("\r\n\ufeff ")


@contextmanager
def _opened(file: str) -> Iterator[IO[str]]:
    if file == "-":
        yield sys.stdin
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open(encoding="utf-8", errors="replace"))
        except OSError as error:
            raise UsageError(
                f"{file} cannot be read ({error.strerror}); give a file with one JSON object a line"
            ) from error
        yield stream
