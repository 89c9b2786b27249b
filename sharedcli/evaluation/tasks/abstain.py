"""Does ``ask`` refuse questions that the documents do not answer, and only those?

Each answerable question is asked of its own document, and once more of another document of the
same set, drawn by the seed, which is taken not to answer it (two papers on one virus may). Where
there are several files, each is also asked of a document of another file: a foreign one. Questions
that a set itself marks as unanswerable are asked of their own document. Texts may be joined to long
documents first (``join_texts``).

Ways: ``before`` refuses only where no passage shares a word with the question, ``gate`` is
what ``ask`` does before it reads a passage, and ``late`` the same with documents whose vectors are
made when the question comes (``--embed ask``, ``--file``). With an adapter that was taught to tell,
``verdict`` is what ``ask`` does in the end: the gate, then the decoder. Scores: ``false_refusal``
over answerable questions, ``refusal`` over unanswerable ones, ``foreign_refusal`` over those asked
of another file's document, ``correct`` over all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import ClassVar

from sharedcli.errors import UsageError
from sharedcli.evaluation.answering import refuses
from sharedcli.evaluation.items import Item
from sharedcli.evaluation.methods.contract import Context, Workbench
from sharedcli.evaluation.methods.sharedllm import SharedLLMPassages
from sharedcli.evaluation.tasks.contract import Case, Outcome, Task
from sharedcli.evaluation.tasks.questions import load_context
from sharedcli.retrieve.find import find_passages
from sharedcli.retrieve.gate import THRESHOLD, Support, answerable, measure_support

WAYS = ("before", "gate", "late")
VERDICT = "verdict"
ANSWERED, UNANSWERED, FOREIGN = "false_refusal", "refusal", "foreign_refusal"
"""What a refusal is called where the document answers the question, and where it does not."""


class Abstain(Task):
    """Refusals, deserved and not.

    Args:
        items: questions; answerable ones are also asked of another document.
        bench: encoder and tokenizer.
        seed: of the other documents.

    Raises:
        UsageError: there is no second document, and no question is marked as unanswerable.
    """

    name: ClassVar[str] = "abstain"

    def __init__(self, items: Sequence[Item], bench: Workbench, seed: int) -> None:
        self._bench = bench
        self._contexts: dict[str, Context] = {}
        self._asks = SharedLLMPassages(bench)
        self._cases = _cases(items, seed)
        if all(case.payload[2] == ANSWERED for case in self._cases):
            raise UsageError(
                "all questions are about one document, and none is marked as unanswerable; give "
                "questions about several documents"
            )

    @property
    def ways(self) -> Sequence[str]:
        """As ``Task.ways``."""
        return (*WAYS, VERDICT) if self._bench.model.shared.config.abstains else WAYS

    @property
    def notes(self) -> Sequence[str]:
        """As ``Task.notes``."""
        if self._bench.encoder is None:
            return ("no sentence encoder: the gate stays open",)
        return ()

    def cases(self) -> Sequence[Case]:
        """As ``Task.cases``."""
        return self._cases

    def prepare(self, case: Case) -> None:
        """As ``Task.prepare``: index the document, once."""
        _ = self._context(case.payload[1]).index

    def measure(self, case: Case, way: str) -> Outcome:
        """As ``Task.measure``."""
        item, document, kind = case.payload
        context = self._context(document)
        names = [context.document.source]
        index = context.lexical if way == "late" else context.index
        found = find_passages(index, item.question, names, self._bench.encoder)
        ranked = found.ranked
        detail: dict[str, object] = {"question": item.question, "document": document.group}
        if way == "before":
            refused = not ranked
        else:
            support = measure_support(index, item.question, names, found)
            chance = answerable(support)
            refused = not ranked or chance < THRESHOLD
            detail["answerable"] = round(chance, 4)
            if way == VERDICT and not refused:
                refused = self._unstated(context, item.question, support, detail)
        scores = {kind: float(refused), "correct": float(refused != (kind == ANSWERED))}
        return Outcome(scores, {**detail, "refused": refused})

    def _unstated(
        self, context: Context, question: str, support: Support, detail: dict[str, object]
    ) -> bool:
        """Whether the decoder finds that what it is given does not state the answer."""
        most = self._bench.settings.max_tokens
        opened = self._asks.ask(context, question, most)
        refused = refuses(opened, self._bench, question, most, support)
        assert opened.verdict is not None, "the adapter was taught to tell"
        detail |= {**opened.verdict.told(), "absent": round(support.absent, 4)}
        return refused and not support.whole

    def _context(self, item: Item) -> Context:
        if item.group not in self._contexts:
            self._contexts[item.group] = load_context(item, self._bench)
        return self._contexts[item.group]


def join_texts(items: Sequence[Item], texts: int) -> list[Item]:
    """``items`` with the texts of ``texts`` groups of a file as one document; files stay."""
    groups: dict[str, dict[str, str]] = {}
    for item in items:
        if item.path is None:
            groups.setdefault(_file(item), {}).setdefault(item.group, item.context)
    joined: dict[tuple[str, str], tuple[str, str]] = {}
    for file, contexts in groups.items():
        names = list(contexts)
        for first in range(0, len(names), texts):
            part = names[first : first + texts]
            whole = (f"{file}-{first}", "\n\n".join(contexts[name] for name in part))
            joined |= {(file, name): whole for name in part}
    return [
        item if item.path is not None else _put(item, *joined[_file(item), item.group])
        for item in items
    ]


def _put(item: Item, group: str, context: str) -> Item:
    return replace(item, group=group, context=context)


def _cases(items: Sequence[Item], seed: int) -> list[Case]:
    """Payloads: the item, one whose document is searched, and what a refusal is called."""
    documents: dict[str, dict[str, Item]] = {}
    for item in items:
        documents.setdefault(_file(item), {}).setdefault(item.group, item)
    cases = []
    for item in items:
        own = ANSWERED if item.answerable else UNANSWERED
        cases.append(Case(item.id, item.group, {}, (item, item, own)))
        if not item.answerable:
            continue
        rng = Random(f"{seed}/{item.id}")
        file = _file(item)
        same = [one for group, one in documents[file].items() if group != item.group]
        foreign = [one for other in documents if other != file for one in documents[other].values()]
        for kind, others in ((UNANSWERED, same), (FOREIGN, foreign)):
            if others:
                other = rng.choice(others)
                place = f"{item.id}@{_file(other)}:{other.group}"
                cases.append(Case(place, other.group, {}, (item, other, kind)))
    return cases


def _file(item: Item) -> str:
    return item.id.partition(":")[0]
