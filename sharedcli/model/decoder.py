"""The decoder at work: prefill running text under injection, then one token at a time.

Injected slots are constant while decoding and stay outside the key/value cache, which holds running
text only. Sampling itself is the ``transformers`` logits processors'; greedy is the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
from sharedcli.model.sharedllm import SharedLLM


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


class Decoder:
    """One stream of running text: a cache, and the slots that it sees."""

    def __init__(self, model: SharedLLM, injected: InjectedKV | None = None) -> None:
        self.model = model
        self.injected = injected
        self.cache = DynamicCache(config=model.base.config)
        self.seen = 0

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> Tensor:
        """Append ``tokens`` [T] to the running text; return the next token's logits [V].

        Raises:
            UsageError: there is no token.
        """
        if not tokens.shape[0]:
            raise UsageError("there is nothing to continue; ask a question")
        logits: Tensor = self.model(
            tokens[None].to(self.model.device),
            self.injected,
            past=self.cache,
            seen=self.seen,
            logits_to_keep=1,
        )
        self.seen += tokens.shape[0]
        return logits[0, -1].float()

    def generate(
        self,
        prompt: Tensor,
        stop: frozenset[int],
        max_tokens: int,
        sampling: Sampling = Sampling(),
    ) -> Iterator[int]:
        """Yield token ids that continue ``prompt`` [T] until a ``stop`` id or ``max_tokens``."""
        processors = sampling.processors()
        generator = torch.Generator().manual_seed(sampling.seed)
        produced: list[int] = []
        logits = self.read(prompt)
        while len(produced) < max_tokens:
            said = torch.tensor([produced], dtype=torch.long, device=logits.device)
            scores = processors(said, logits[None])[0]  # type: ignore[arg-type]
            token = _pick(scores, sampling, generator)
            if token in stop:
                return
            produced.append(token)
            yield token
            if len(produced) < max_tokens:
                logits = self.read(torch.tensor([token]))


def _pick(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    if sampling.greedy:
        return int(scores.argmax())
    # Drawn on the CPU, so that a seed gives the same answer on every device.
    return int(torch.multinomial(scores.softmax(-1).cpu(), 1, generator=generator))
