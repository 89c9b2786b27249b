"""A needle in a haystack: one fact hidden at some depth of a text of some length.

After Kamradt's test and the single-needle task of RULER (arXiv 2404.06654): the fact is a number
that no text of the haystack holds, and the answer must hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, ClassVar

from sharedcli.errors import UsageError
from sharedcli.evaluation.answering import answer_text
from sharedcli.evaluation.methods.contract import Context, Method, Workbench
from sharedcli.evaluation.tasks.contract import Case, Outcome, Task
from sharedcli.evaluation.tasks.descent import token_span
from sharedcli.evaluation.tasks.perplexity import LongText
from sharedcli.model.devices import guard_memory
from sharedcli.model.tokens import tokenize_text

_CITIES = (
    "Lisbon", "Nairobi", "Osaka", "Quito", "Tallinn", "Perth", "Oslo", "Lima", "Accra", "Hanoi",
)  # fmt: skip
ANSWER_TOKENS = 24
REACHED = ("opened", "finest")
"""Scores of methods that inject: the share of the needle that has slots, and the finest ones."""


class Needle(Task):
    """A grid of depths and lengths.

    Args:
        texts: the haystack, joined and repeated as needed.
        methods: by name.
        bench: their workbench.
        lengths: of the text in tokens.
        depths: where the needle lies, in percent of the text.
        trials: needles per cell.
    """

    name: ClassVar[str] = "needle"

    def __init__(
        self,
        texts: Sequence[LongText],
        methods: dict[str, Method],
        bench: Workbench,
        *,
        lengths: Sequence[int],
        depths: Sequence[float],
        trials: int,
        seed: int,
    ) -> None:
        self._hay = "\n\n".join(text.text.strip() for text in texts)
        if not self._hay.strip():
            raise UsageError("the haystack is empty; give files with text")
        self._methods = methods
        self._bench = bench
        self._grid = [(length, depth) for length in lengths for depth in depths]
        self._trials = trials
        self._seed = seed
        self._cache: tuple[str, Context] | None = None

    @property
    def ways(self) -> Sequence[str]:
        """As ``Task.ways``."""
        return list(self._methods)

    def caveat(self, way: str) -> str:
        """As ``Task.caveat``."""
        return self._methods[way].caveat

    def cases(self) -> Sequence[Case]:
        """As ``Task.cases``."""
        return [
            Case(
                f"{length}@{depth:g}/{trial}",
                "",
                {"length": length, "depth": depth},
                (length, depth, trial),
            )
            for length, depth in self._grid
            for trial in range(self._trials)
        ]

    def _fact(self, case: Case) -> tuple[str, str]:
        length, depth, trial = case.payload
        rng = Random(f"{self._seed}/{length}/{depth}/{trial}")
        return rng.choice(_CITIES), str(rng.randint(1_000_000, 9_999_999))

    def _hidden(self, case: Case) -> Context:
        if self._cache is None or self._cache[0] != case.id:
            (city, number), (length, depth, _) = self._fact(case), case.payload
            needle = f"The special magic number of {city} is {number}."
            text = haystack(self._hay, needle, length, depth, self._bench)
            context = Context.of_text(text, self._bench)
            start = text.index(needle)
            context.evidence = token_span(context, (start, start + len(needle)))
            self._cache = (case.id, context)
        return self._cache[1]

    def prepare(self, case: Case) -> None:
        """As ``Task.prepare``."""
        context = self._hidden(case)
        _ = context.encoded
        for method in self._methods.values():
            method.prepare(context, asked=True)

    def measure(self, case: Case, way: str) -> Outcome:
        """As ``Task.measure``."""
        city, number = self._fact(case)
        context = self._hidden(case)
        question = f"What is the special magic number of {city}?"
        with guard_memory("answering"):
            opened = self._methods[way].ask(context, question, ANSWER_TOKENS)
            said = answer_text(opened, self._bench, question, ANSWER_TOKENS)
        scores = {"found": float(number in said.replace(",", ""))}
        scores |= {name: opened.detail[name] for name in REACHED if name in opened.detail}
        detail: dict[str, Any] = {
            "question": question,
            "prediction": said,
            "answers": [number],
            "slots": opened.slots,
            "prompt_tokens": len(opened.prompt),
            "context_tokens": opened.context_tokens,
            **opened.detail,
        }
        return Outcome(scores, detail, opened.saved)


def haystack(hay: str, needle: str, length: int, depth: float, bench: Workbench) -> str:
    """Return text of about ``length`` tokens with ``needle`` at ``depth`` percent, at a sentence.

    Raises:
        UsageError: the length leaves no room for the needle.
    """
    room = length - len(bench.plain(needle)) - 2
    if room < 1:
        raise UsageError(f"{length} tokens are too few for a needle; give a larger --lengths")
    # a short haystack is repeated
    _, spans = tokenize_text(bench.tokenizer, hay[: 8 * room + 1000])
    while len(spans) < room:
        hay = f"{hay}\n\n{hay}"
        _, spans = tokenize_text(bench.tokenizer, hay[: 8 * room + 1000])
    text = hay[: int(spans[room - 1][1])]
    if depth >= 100:
        return f"{text} {needle}"
    place = int(spans[round(room * depth / 100)][0]) if depth > 0 else 0
    start = text.rfind(". ", 0, place) + 2 if depth > 0 else 0
    start = start if start > 1 else 0
    return f"{text[:start]}{needle} {text[start:]}"
