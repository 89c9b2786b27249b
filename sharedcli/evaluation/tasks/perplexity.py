"""Loss of running text after long context, side by side.

For each context length the same windows of text are read by every method: ``context`` tokens, then
``running`` tokens whose loss counts. A window's place is drawn from the seed, the length and its
number alone; or of all lengths together, so that contexts of any length precede the same text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sharedcli.baselines.streams import continuation_loss
from sharedcli.errors import UsageError
from sharedcli.evaluation.formats import json_rows
from sharedcli.evaluation.methods.contract import Context, Method, UnfitError, Workbench
from sharedcli.evaluation.reading import patient_reader
from sharedcli.evaluation.tasks.contract import Case, Outcome, Task
from sharedcli.ingest.sanitise import printable_path
from sharedcli.model.devices import guard_memory
from sharedcli.model.tokens import tokenize_text

_TEXT_FIELDS = ("text", "context", "content", "input")
_TEXT_CHARS = 5  # of a token, at first guess


@dataclass(frozen=True)
class LongText:
    """A document to draw windows from."""

    name: str
    text: str


@dataclass(frozen=True)
class Window:
    """Consecutive text: the context, and the tokens [T] that go on."""

    context: Context
    running: Tensor


def read_texts(paths: Sequence[Path], only: Sequence[str] = ()) -> list[LongText]:
    """Read documents, and the long texts in JSON Lines; repeated texts count once.

    Args:
        paths: files.
        only: patterns of names; none takes all.

    Raises:
        UsageError: a line has no text, or no name fits.
        DocumentError: a file cannot be read.
    """
    found = {text.text: text for text in _texts(paths)}
    chosen = [
        text
        for text in found.values()
        if not only or any(fnmatch(text.name, f"*{pattern}*") for pattern in only)
    ]
    if not found:
        raise UsageError(
            f"there is no text in {', '.join(map(printable_path, paths))}; give documents, or "
            "JSON Lines with a field 'text'"
        )
    if not chosen:
        raise UsageError(f"no document is called like {', '.join(only)}; check --only")
    return chosen


def _texts(paths: Sequence[Path]) -> Iterator[LongText]:
    with patient_reader() as reader:
        for path in paths:
            if path.suffix.lower() in (".jsonl", ".ndjson"):
                for number, row in json_rows(path):
                    where = f"{printable_path(path)}, line {number}"
                    text = next((row[f] for f in _TEXT_FIELDS if isinstance(row.get(f), str)), None)
                    if text is None:
                        raise UsageError(
                            f"{where}: there is no text; give lines with a field 'text'"
                        )
                    yield LongText(str(row.get("source") or f"{path.stem}:{number}"), text)
            else:
                document = reader.read(path)
                yield LongText(document.source, document.text)


class WindowSampler:
    """Draws windows from long texts, tokenising no more of them than it needs."""

    def __init__(self, texts: Sequence[LongText], bench: Workbench, seed: int) -> None:
        self._texts = texts
        self._bench = bench
        self._seed = seed
        self._lengths: dict[str, int] = {}

    def draw(
        self, context: int, running: int, number: int, last: int | None = None
    ) -> tuple[LongText, Window]:
        """Draw window ``number`` of ``context`` + ``running`` tokens.

        ``last`` keeps of the context so many tokens only, those that the running text follows.

        Raises:
            UsageError: no document is that long.
        """
        rng = Random(f"{self._seed}/{context}/{running}/{number}")
        wanted = context + running
        if found := self._draw(self._texts, context, running, rng, last):
            return found
        longest = max((len(text.text) for text in self._texts), default=0)
        raise UsageError(
            f"no document has {wanted} tokens (the longest has {longest} characters); "
            "give longer documents or a smaller --context"
        )

    def other(self, text: LongText, context: int, number: int) -> Context | None:
        """Draw ``context`` tokens of another document than ``text``; None if none is so long."""
        rng = Random(f"{self._seed}/{context}/other/{number}")
        others = [one for one in self._texts if one is not text]
        found = self._draw(others, context, 0, rng)
        return None if found is None else found[1].context

    def _draw(
        self,
        texts: Sequence[LongText],
        context: int,
        running: int,
        rng: Random,
        last: int | None = None,
    ) -> tuple[LongText, Window] | None:
        left = [text for text in texts if len(text.text) >= context + running]
        while left:
            text = rng.choices(left, [len(one.text) for one in left])[0]
            if window := self._cut(text, context, running, rng, context if last is None else last):
                return text, window
            left.remove(text)
        return None

    def _cut(
        self, text: LongText, context: int, running: int, rng: Random, last: int
    ) -> Window | None:
        wanted = context + running
        if self._lengths.get(text.name, wanted) < wanted:
            return None
        chars = _TEXT_CHARS * wanted
        place = rng.random()
        while True:
            start = int(place * max(0, len(text.text) - chars))
            part = text.text[start : start + chars]
            ids, spans = tokenize_text(self._bench.tokenizer, part)
            if len(ids) >= wanted:
                break
            if chars >= len(text.text):
                self._lengths[text.name] = len(ids)
                return None
            chars *= 2
        tokens = torch.from_numpy(ids.astype(np.int64))
        first = context - last
        begin = int(spans[first][0]) if first else 0
        before = part[begin : int(spans[context - 1][1])] if last else ""
        shown = tokens[first:context], spans[first:context] - begin
        return Window(
            Context.of_tokens(before, *shown, self._bench, text.name), tokens[context:wanted]
        )


class Perplexity(Task):
    """Loss in nats per token of running text after a long context.

    Args:
        texts: documents to draw from.
        methods: by name.
        bench: their workbench.
        contexts: context lengths in tokens.
        running: tokens whose loss counts.
        items: windows per length.
        same_text: the running texts of the longest contexts follow the shorter ones, too: what
            differs between lengths is the context alone.
        hidden: names of methods that are references only.
    """

    name: ClassVar[str] = "perplexity"

    def __init__(
        self,
        texts: Sequence[LongText],
        methods: dict[str, Method],
        bench: Workbench,
        *,
        contexts: Sequence[int],
        running: int,
        items: int,
        seed: int,
        same_text: bool = False,
        hidden: Sequence[str] = (),
    ) -> None:
        if running < 2 or running >= bench.window:
            raise UsageError(
                f"--running must be from 2 to {bench.window - 1} tokens, the model's window, "
                f"not {running}"
            )
        self._sampler = WindowSampler(texts, bench, seed)
        self._methods = methods
        self._contexts = contexts
        self._same_text = same_text
        self._running = running
        self._items = items
        self._drawn: tuple[str, LongText, Window] | None = None
        self._shown = [name for name in methods if name not in hidden]
        self._hidden = hidden

    @property
    def ways(self) -> Sequence[str]:
        """As ``Task.ways``."""
        return self._shown

    @property
    def references(self) -> Sequence[str]:
        """As ``Task.references``."""
        return self._hidden

    def caveat(self, way: str) -> str:
        """As ``Task.caveat``."""
        return self._methods[way].caveat

    def cases(self) -> Sequence[Case]:
        """As ``Task.cases``; the shortest contexts first."""
        return [
            Case(f"{length}+{self._running}/{number}", "", {"context": length}, (length, number))
            for length in sorted(set(self._contexts))
            for number in range(self._items)
        ]

    def prepare(self, case: Case) -> None:
        """As ``Task.prepare``."""
        context = self._window(case)[1].context
        _ = context.encoded
        for method in self._methods.values():
            method.prepare(context, asked=False)

    def measure(self, case: Case, way: str) -> Outcome:
        """As ``Task.measure``."""
        text, window = self._window(case)
        with guard_memory("reading text"):
            opened = self._methods[way].continue_text(window.context, window.running)
            loss = continuation_loss(opened.stream, opened.prompt, window.running)
        if not math.isfinite(loss):
            raise UnfitError("the loss is no number")
        detail: dict[str, Any] = {
            "document": text.name,
            "slots": opened.slots,
            "context_tokens": opened.context_tokens,
            **opened.detail,
        }
        scores = {"loss": round(loss, 6), "perplexity": round(math.exp(min(loss, 500.0)), 4)}
        return Outcome(scores, detail, opened.saved)

    def _window(self, case: Case) -> tuple[LongText, Window]:
        if self._drawn is None or self._drawn[0] != case.id:
            length, number = case.payload
            whole = max(self._contexts) if self._same_text else length
            text, window = self._sampler.draw(whole, self._running, number, length)
            window.context.find_other = lambda: self._sampler.other(text, length, number)
            self._drawn = (case.id, text, window)
        return self._drawn[1:]
