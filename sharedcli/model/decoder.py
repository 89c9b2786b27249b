"""The decoder at work: prefill running text under injection, then token by token.

Two ways lead to the same text: ``PackedDecoder`` on a CPU, for the bases that it knows, and the
model's own forward passes for everything else. Packed, several tokens are drafted and verified in
one pass where the text repeats itself; each token is still drawn from the model's own logits, so
the text is the same with drafts and without, sampled or greedy.

Sampling itself is the ``transformers`` logits processors'; greedy is the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from sharedcli.errors import UsageError
from sharedcli.model.injected import InjectedKV
from sharedcli.model.merged_layers import why_not
from sharedcli.model.packed_decoder import PackedDecoder
from sharedcli.model.prompt_lookup import PromptLookup
from sharedcli.model.sharedllm import SharedLLM

DecodeWeights = Literal["auto", "int4", "int8", "plain", "unpacked"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is picked: greedy at temperature 0.

    ``repetition_penalty`` above 1 discounts tokens that the answer already holds (not the prompt's:
    quoting the document is what an answer should do).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top-p must be above 0 and at most 1, not {self.top_p}")
        if not 0 < self.repetition_penalty < float("inf"):
            raise UsageError(f"repetition penalty must be above 0, not {self.repetition_penalty}")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken. A tiny temperature would only overflow."""
        return self.temperature < 1e-6

    def processors(self) -> LogitsProcessorList:
        """The chain that turns logits into the distribution to pick from."""
        chain = LogitsProcessorList()
        if self.repetition_penalty != 1.0:
            chain.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if not self.greedy:
            chain.append(TemperatureLogitsWarper(self.temperature))
            if self.top_p < 1:
                chain.append(TopPLogitsWarper(self.top_p))
        return chain


class Stream(Protocol):
    """Running text under injection."""

    seen: int

    def extend(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """Append ``tokens`` [T]; return logits [keep, V] at the last ``keep`` of them."""
        ...

    def room(self) -> int:
        """Tokens that may be read together with the same results as one by one."""
        ...

    def rewind(self, count: int) -> None:
        """Forget the last ``count`` tokens."""
        ...


class ForwardStream:
    """Running text through the model's own forward pass; the cache holds no slots."""

    def __init__(self, model: SharedLLM, injected: InjectedKV | None) -> None:
        self._model = model
        self._injected = injected
        self._cache = DynamicCache(config=model.base.config)
        self.seen = 0

    def extend(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """As ``Stream.extend``."""
        logits = self._model(
            tokens[None].to(self._model.device),
            self._injected,
            past=self._cache,
            seen=self.seen,
            logits_to_keep=keep,
        )
        self.seen += len(tokens)
        return logits[0].float()  # type: ignore[no-any-return]

    def room(self) -> int:
        """One: libraries choose their kernels by the number of rows."""
        return 1

    def rewind(self, count: int) -> None:
        """As ``Stream.rewind``."""
        if count:
            self.seen -= count
            self._cache.crop(-count)


def choose_stream(model: SharedLLM, injected: InjectedKV | None, weights: DecodeWeights) -> Stream:
    """The way that a model is decoded.

    Args:
        weights: "int4", "int8" and "plain" (as they are) are formats of packed weights; "unpacked"
            takes the model's own forward pass, as does whatever cannot be packed. "auto" is "int4"
            where four bits hold the base's weights, else "int8", and "plain" for float64.
    """
    if weights == "unpacked" or why_not(model):
        return ForwardStream(model, injected)
    if injected is not None and not (
        injected.joint and injected.valid is None and injected.bias is None
    ):
        return ForwardStream(model, injected)
    return PackedDecoder.of(model, weights).stream(injected)


class Decoder:
    """One stream of running text.

    Args:
        model: base and adapter.
        injected: the slots that it sees.
        weights: how weights are read while decoding; see ``choose_stream``.
        drafts: whether tokens are drafted. The text is the same without.
    """

    def __init__(
        self,
        model: SharedLLM,
        injected: InjectedKV | None = None,
        weights: DecodeWeights = "auto",
        *,
        drafts: bool = True,
    ) -> None:
        self.model = model
        self.injected = injected
        self.drafted = 0
        self.accepted = 0
        self._stream = choose_stream(model, injected, weights)
        self._drafts = drafts

    @property
    def seen(self) -> int:
        """Tokens of running text so far."""
        return self._stream.seen

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> Tensor:
        """Append ``tokens`` [T] to the running text; return the next token's logits [V].

        Raises:
            UsageError: there is no token.
        """
        if not tokens.shape[0]:
            raise UsageError("there is nothing to continue; ask a question")
        return self._stream.extend(tokens)[-1]

    def generate(
        self,
        prompt: Tensor,
        stop: frozenset[int],
        max_tokens: int,
        sampling: Sampling = Sampling(),
        weigh: Callable[[Tensor], Tensor] | None = None,
    ) -> Iterator[int]:
        """Yield token ids that continue ``prompt`` [T] until a ``stop`` id or ``max_tokens``.

        ``weigh`` is given the logits [V] of every token that is picked, the stop id's too, in their
        order, and may change them.
        ``drafted`` and ``accepted`` then count the tokens that were guessed, and guessed right.
        """
        processors = sampling.processors()
        generator = torch.Generator().manual_seed(sampling.seed)
        lookup = PromptLookup(prompt.tolist())
        produced: list[int] = []
        draft: list[int] = []
        logits = self.read(prompt)[None]
        while True:
            right = 0
            for row, guess in zip(logits, [*draft, None], strict=True):
                if len(produced) == max_tokens:
                    return
                said = torch.tensor([produced], dtype=torch.long, device=row.device)
                weighed = row if weigh is None else weigh(row)
                scores = processors(said, weighed[None])[0]  # type: ignore[arg-type]
                token = _pick(scores, sampling, generator)
                if token in stop:
                    return
                produced.append(token)
                lookup.append(token)
                yield token
                if token != guess:
                    break
                right += 1
                self.accepted += 1
            if len(produced) == max_tokens:
                return
            self._stream.rewind(len(draft) - right)
            draft = self._draft(lookup, max_tokens - len(produced) - 1)
            logits = self._verify([produced[-1], *draft])

    def _draft(self, lookup: PromptLookup, most: int) -> list[int]:
        draft = lookup.draft(min(most, self._stream.room() - 1)) if self._drafts else []
        self.drafted += len(draft)
        return draft

    @torch.inference_mode()
    def _verify(self, tokens: list[int]) -> Tensor:
        """Read the last token and the draft behind it; return logits [len(tokens), V]."""
        return self._stream.extend(torch.tensor(tokens), len(tokens))


def _pick(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    if sampling.greedy:
        return int(scores.argmax())
    # Drawn on the CPU, so that a seed gives the same answer on every device.
    return int(torch.multinomial(scores.softmax(-1).cpu(), 1, generator=generator))
