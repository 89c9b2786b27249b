"""``sharedcli chat``: several questions in a row that know of each other.

Notable choices:
- The last questions and answers go into the decoder's window, as many as fit half of it.
- Ctrl-C stops the answer and keeps what has come of it; at the prompt it says how to leave.
- stdout gets the answers and nothing else, so a pipe of questions becomes a list of answers.
- Earlier turns are conversation, not evidence: every question is looked up in the documents.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import typer

from sharedcli.cli import payloads
from sharedcli.cli.ask import File, documents, stream_answer
from sharedcli.cli.flags import ANSWER, CACHE, GEOMETRY, MODEL, OUTPUT, PLACES, takes
from sharedcli.cli.session import Session
from sharedcli.cli.wording import plural
from sharedcli.errors import SharedCLIError, UsageError

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer

HELP = (
    "/doc DOC...  ask about these documents only; /doc all: about all; /doc: which\n"
    "/sources     the pages behind the last answer\n"
    "/tree        the nodes that the last question opens\n"
    "/clear       forget the conversation\n"
    "/quit        leave; Ctrl-D too"
)
_LINE_CHARS = 100_000


@takes(ANSWER, PLACES, CACHE, MODEL, GEOMETRY, OUTPUT)
def chat(
    session: Session,
    doc: Annotated[
        list[str] | None,
        typer.Option(
            "--doc", "-d", metavar="DOC", help="Id, path, title or glob; may be repeated."
        ),
    ] = None,
    file: File = None,
) -> None:
    """Ask one question after the other. Type /help for commands, /quit to leave."""
    if file and "-" in file:
        raise UsageError("chat reads questions from standard input; give --file a path")
    with documents(session, file or []):
        Chat(session, doc or []).run()


class Chat:
    """One conversation.

    Args:
        session: settings, engine, streams.
        documents: selectors; empty for all documents.
    """

    def __init__(self, session: Session, documents: list[str]) -> None:
        self._session = session
        self._documents = documents
        self._history: list[tuple[str, str]] = []
        self._last: Answer | None = None
        self._searched = ""
        self._laying_out: Future[None] | None = None
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "/help": lambda _words: self._session.terminal.note(HELP),
            "/doc": self._choose,
            "/sources": self._sources,
            "/tree": self._tree,
            "/clear": self._clear,
        }

    def run(self) -> None:
        """Read lines until the end of the input or /quit."""
        engine, terminal = self._session.engine, self._session.terminal
        count = len(engine.documents(self._documents))
        with self._session.activity as activity:
            activity.update("loading the model")
            model = engine.model()
        # while the first question is typed
        self._laying_out = ThreadPoolExecutor(1).submit(model.lay_out)
        terminal.aside(f"{plural(count, 'document')}; /help for commands, /quit to leave")
        while (line := self._read()) is not None:
            words = line.split()
            if not words:
                continue
            if words[0] in ("/quit", "/exit"):
                return
            try:
                self._turn(line, words)
            except KeyboardInterrupt:
                self._session.activity.stop()
                terminal.aside("stopped")
            except SharedCLIError as error:
                self._session.activity.stop()
                self._refuse(error)

    def _turn(self, line: str, words: list[str]) -> None:
        if words[0].startswith("/"):
            command = self._commands.get(words[0])
            if command is None:
                raise UsageError(f"there is no command {words[0]}; /help lists them")
            command(_arguments(line))
        else:
            self._ask(line.strip())

    def _ask(self, question: str) -> None:
        session = self._session
        with session.activity as activity:
            activity.update("reading the evidence")
            if self._laying_out is not None:
                # or it would matter how fast somebody types; without it, questions take longer
                self._laying_out.exception()
            from sharedcli.retrieve.follow_up import search_text

            self._searched = search_text(question, self._history)
            answer = session.engine.ask(question, self._documents, history=self._history)
            self._last = answer
            try:
                if session.json:
                    answer.read()
                    turn = len(self._history) + 1
                    session.emit({"turn": turn, **payloads.answer(answer)})
                else:
                    stream_answer(session, answer)
            finally:
                if text := answer.text.strip():
                    self._history.append((question, text))
        if not session.json:
            from sharedcli.cli.render_answer import below_turn, show_not_found

            if answer.found:
                session.terminal.aside(below_turn(answer))
            else:
                show_not_found(session.terminal, answer)

    def _choose(self, words: list[str]) -> None:
        engine = self._session.engine
        chosen = [] if words == ["all"] else words or self._documents
        records = engine.documents(chosen)
        self._documents = chosen
        if self._session.json:
            self._session.emit({"documents": [payloads.document(one) for one in records]})
            return
        from sharedcli.cli.render_library import document_table

        self._session.terminal.tell(document_table(records))

    def _sources(self, _words: list[str]) -> None:
        last = self._asked()
        if self._session.json:
            self._session.emit({"sources": payloads.answer(last)["citations"]})
            return
        from sharedcli.cli.render_answer import show_evidence

        show_evidence(self._session.terminal, last)

    def _tree(self, _words: list[str]) -> None:
        from sharedcli.cli.tree import look, payload

        self._asked()
        session = self._session
        opened = session.engine.open_nodes(self._searched, self._documents)
        if not opened and not session.json:
            session.terminal.aside("no node is opened: nothing in the documents fits the question")
        for doc_id in dict.fromkeys(frontier.doc_id for frontier in opened):
            frontiers = [frontier for frontier in opened if frontier.doc_id == doc_id]
            view = look(session, doc_id, self._searched, None, frontiers)
            if session.json:
                session.emit(payload(view))
            else:
                from sharedcli.cli.render_tree import draw_tree

                session.terminal.tell(draw_tree(view))

    def _clear(self, _words: list[str]) -> None:
        self._history.clear()
        self._session.terminal.aside("the conversation is forgotten")

    def _asked(self) -> Answer:
        if self._last is None:
            raise UsageError("nothing has been asked yet; type a question")
        return self._last

    def _refuse(self, error: SharedCLIError) -> None:
        """Tell of a failure and go on."""
        if self._session.json:
            told = {"type": type(error).__name__, "message": str(error)}
            self._session.emit({"error": {**told, "exit_code": error.exit_code}})
        self._session.terminal.error(str(error))

    def _read(self) -> str | None:
        """Return the next line; None at the end of the input."""
        lively = sys.stdin.isatty()
        while True:
            try:
                if lively and sys.stdout.isatty():
                    _edit_lines()
                    return input("\n> ")
                if lively and not self._session.quiet:
                    sys.stderr.write("\n> ")
                    sys.stderr.flush()
                return sys.stdin.readline(_LINE_CHARS) or None
            except EOFError:
                self._session.terminal.note("")
                return None
            except KeyboardInterrupt:
                if not lively:
                    raise
                self._session.terminal.note("")
                self._session.terminal.aside("/quit or Ctrl-D leaves")


def _arguments(line: str) -> list[str]:
    """What follows a command; quotes hold names with spaces together."""
    words = shlex.shlex(line, posix=True)
    words.whitespace_split, words.escape, words.commenters = True, "", ""
    try:
        return list(words)[1:]
    except ValueError:  # an apostrophe
        return line.split()[1:]


def _edit_lines() -> None:
    """Give ``input`` its line editing and history, where the platform has them."""
    try:
        import readline  # noqa: F401
    except ImportError:
        return
