"""Answer the questions of a set with every method, and score the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from sharedcli.errors import UsageError
from sharedcli.evaluation.answering import answer_letter, answer_text
from sharedcli.evaluation.items import Item
from sharedcli.evaluation.methods.contract import Context, Method, Workbench
from sharedcli.evaluation.reading import patient_reader
from sharedcli.evaluation.tasks.contract import Case, Outcome, Task
from sharedcli.model.devices import guard_memory


class Questions(Task):
    """Questions about long documents.

    Args:
        items: answerable ones are asked.
        methods: by name.
        bench: their workbench.
        notes: about the set.
        limit: questions of each set at most, the first ones.

    Raises:
        UsageError: none has an answer.
    """

    name: ClassVar[str] = "qa"

    def __init__(
        self,
        items: Sequence[Item],
        methods: dict[str, Method],
        bench: Workbench,
        notes: Sequence[str] = (),
        limit: int | None = None,
    ) -> None:
        answered = [item for item in items if item.answerable]
        if not answered:
            raise UsageError("none of the questions has an answer; use `sharedcli eval abstain`")
        self._items = by_document(first_of_each(answered, limit))
        self._methods = methods
        self._bench = bench
        self._notes = list(notes)
        self._context: tuple[str, Context] | None = None
        if left := len(items) - len(answered):
            self._notes.append(f"{left} questions without an answer were left out; see abstain")

    @property
    def notes(self) -> Sequence[str]:
        """As ``Task.notes``."""
        return self._notes

    @property
    def ways(self) -> Sequence[str]:
        """As ``Task.ways``."""
        return list(self._methods)

    def caveat(self, way: str) -> str:
        """As ``Task.caveat``."""
        return self._methods[way].caveat

    def cases(self) -> Sequence[Case]:
        """As ``Task.cases``."""
        several = len({item.dataset for item in self._items}) > 1
        return [
            Case(item.id, item.group, {"dataset": item.dataset} if several else {}, item)
            for item in self._items
        ]

    def prepare(self, case: Case) -> None:
        """As ``Task.prepare``."""
        context = self._document(case.payload)
        _ = context.encoded
        for method in self._methods.values():
            method.prepare(context, asked=True)

    def measure(self, case: Case, way: str) -> Outcome:
        """As ``Task.measure``."""
        item: Item = case.payload
        tokens = item.max_tokens or self._bench.settings.max_tokens
        tokens = min(tokens, self._bench.settings.max_tokens)
        with guard_memory("answering"):
            opened = self._methods[way].ask(self._document(item), item.asked(), tokens)
            if item.options:
                said = answer_letter(opened, self._bench, len(item.options))
            else:
                said = answer_text(opened, self._bench, item.question, tokens)
        detail: dict[str, Any] = {
            **({"id": item.name} if item.name else {}),
            "question": item.question,
            "prediction": said,
            "answers": list(item.answers),
            "prompt_tokens": len(opened.prompt),
            "slots": opened.slots,
            "context_tokens": opened.context_tokens,
            **opened.detail,
        }
        if opened.verdict is not None:
            detail |= opened.verdict.told()
        return Outcome(item.score(said), detail, opened.saved)

    def _document(self, item: Item) -> Context:
        key = str(item.path) if item.path else item.group
        if self._context is None or self._context[0] != key:
            self._context = (key, load_context(item, self._bench))
        return self._context[1]


def first_of_each(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Return the first ``limit`` items of each file; all if None."""
    counts: dict[str, int] = {}
    chosen = []
    for item in items:
        file = item.id.partition(":")[0]
        counts[file] = counts.get(file, 0) + 1
        if limit is None or counts[file] <= limit:
            chosen.append(item)
    return chosen


def by_document(items: Sequence[Item]) -> list[Item]:
    """Put the questions about one document together: it is read and compressed once."""
    first = {group: at for at, group in enumerate(dict.fromkeys(item.group for item in items))}
    return sorted(items, key=lambda item: first[item.group])


def load_context(item: Item, bench: Workbench) -> Context:
    """Return the document of an item: its text, or the file that it names."""
    if item.path is None:
        return Context.of_text(item.context, bench)
    return Context(read_file(item.path), bench)


def read_file(path: Path) -> Any:
    """Read one document file."""
    with patient_reader() as reader:
        return reader.read(path)
