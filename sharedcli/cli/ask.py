"""``sharedcli ask``: a streamed answer on stdout, its sources and timings on stderr."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.flags import ANSWER, CACHE, GEOMETRY, MODEL, OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.errors import NotInDocumentsError, UsageError

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer

_QUESTION_CHARS = 100_000

File = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="Ask about this file or folder as it is, and keep nothing; may be repeated.",
    ),
]


@takes(ANSWER, PLACES, CACHE, MODEL, GEOMETRY, OUTPUT)
def ask(
    session: Session,
    question: Annotated[
        str | None, typer.Argument(help="The question; - reads it from stdin.", show_default=False)
    ] = None,
    doc: Annotated[
        list[str] | None,
        typer.Option(
            "--doc", "-d", metavar="DOC", help="Id, path, title or glob; may be repeated."
        ),
    ] = None,
    file: File = None,
    questions: Annotated[
        str | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="Answer a JSON Lines file, as JSON Lines; - is stdin.",
        ),
    ] = None,
) -> None:
    """Ask about the indexed documents. The answer streams to stdout, its sources to stderr."""
    if questions is not None and question is not None:
        raise UsageError("give a question or --questions, not both")
    if file and "-" in file and "-" in (question, questions):
        raise UsageError("standard input is either the file or the question, not both")
    if questions is None:
        question = _typed(session, question)
    with documents(session, file or []) as begun:
        if question is None:
            from sharedcli.cli.questions import answer_all

            if code := answer_all(session, str(questions), doc or []):
                raise typer.Exit(code)
        elif not answered(session, question, doc or [], begun).found:
            raise typer.Exit(NotInDocumentsError.exit_code)


def _typed(session: Session, question: str | None) -> str:
    if question is None:
        raise UsageError('there is no question; ask like: sharedcli ask "What is ...?"')
    if question == "-":
        if sys.stdin.isatty():
            session.terminal.aside("type the question, then Ctrl-D")
        question = sys.stdin.read(_QUESTION_CHARS)
    if not question.strip():
        raise UsageError('the question is empty; ask like: sharedcli ask "What is ...?"')
    return question


def documents(session: Session, files: list[str]) -> AbstractContextManager[float | None]:
    """Let questions be about the store's documents, or about ``files``, which are read now.

    Gives the time (monotonic) at which reading began.
    """
    if not files:
        return nullcontext()
    from sharedcli.cli.unkept import about

    return about(session, files)


def answered(
    session: Session, question: str, documents: list[str], begun: float | None = None
) -> Answer:
    """Answer one question on the session's streams, and return the answer.

    ``begun``: when its documents began to be read, if that was for this question.
    """
    with session.activity as activity:
        activity.update("loading the model")
        answer = session.engine.ask(question, documents, begun=begun)
        if not session.json:
            activity.update("reading the evidence")
            _stream(session, answer)
            return answer
        activity.update("answering")
        answer.read()
    session.emit(payloads.answer(answer))
    return answer


def _stream(session: Session, answer: Answer) -> None:
    from sharedcli.cli.render_answer import show_evidence, show_not_found

    begun = stream_answer(session, answer)
    if not answer.found:
        show_not_found(session.terminal, answer)
        return
    if not begun:
        session.write("\n")
    show_evidence(session.terminal, answer)


def stream_answer(session: Session, answer: Answer) -> bool:
    """Write the answer to stdout as it comes; return whether there was any text."""
    from sharedcli.cli.render_wrap import WordWrap
    from sharedcli.ingest.sanitise import StreamSanitiser

    sanitiser = StreamSanitiser()
    wrap = WordWrap(session.terminal.out.width) if sys.stdout.isatty() else None
    begun = False
    try:
        for piece in answer:
            text = sanitiser.feed(piece)
            if not begun:
                text = text.lstrip()
                if not text:
                    continue
                session.activity.stop()
                begun = True
            session.write(wrap.feed(text) if wrap else text)
    finally:
        session.activity.stop()
        if begun:
            last = sanitiser.close()
            session.write((wrap.feed(last) + wrap.close() if wrap else last) + "\n")
    return begun
