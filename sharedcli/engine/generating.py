"""The text of an answer: the decoder's tokens, weighed, decoded, and stopped where they repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sharedcli.answer.repetition import without_repetition
from sharedcli.answer.stream import decode_stream, stop_tokens
from sharedcli.answer.verdict import Verdict
from sharedcli.engine.loading import LoadedModel
from sharedcli.model.decoder import Decoder, Sampling
from sharedcli.model.devices import guard_memory
from sharedcli.model.injected import InjectedKV

if TYPE_CHECKING:
    from sharedcli.answer.answer import Answer
    from sharedcli.settings import Settings


def text_of(
    model: LoadedModel,
    settings: Settings,
    prompt: list[int],
    injected: InjectedKV | None,
    *,
    threshold: float,
    refusal: str,
) -> Callable[[Answer], Iterator[str]]:
    """What produces an answer's text when it is iterated, and fills in its usage.

    Args:
        model: loaded base and adapter.
        settings: sampling, longest answer, weights for decoding.
        prompt: token ids.
        injected: slots, or None.
        threshold: how probable it must be to the decoder that what it was given states no answer.
        refusal: what to say then.
    """
    sampling = Sampling(settings.temperature, settings.top_p, settings.seed)
    stop = stop_tokens(model.base.model.config, model.base.tokenizer)
    verdict = Verdict(model.base.tokenizer, threshold)
    weights: Any = settings.decode_weights  # one of its choices, as settings are checked

    def tokens(answer: Answer) -> Iterator[int]:
        def weigh(logits: Tensor) -> Tensor | None:
            allowed = verdict.weigh(logits)
            answer.unstated = verdict.unstated
            if allowed is None:
                answer.refuse(refusal)
            return allowed

        usage = answer.usage
        decoder = Decoder(model.shared, injected, weights)
        first = weigh if model.shared.config.abstains else None
        given = torch.tensor(prompt)
        for token in decoder.generate(given, stop, settings.max_tokens, sampling, first):
            usage.answer_tokens += 1
            usage.drafted_tokens, usage.accepted_tokens = decoder.drafted, decoder.accepted
            yield token
        if answer.found:
            usage.ended = "stop" if usage.answer_tokens < settings.max_tokens else "length"

    def pieces(answer: Answer) -> Iterator[str]:
        with guard_memory("answering"):
            text = decode_stream(model.base.tokenizer, tokens(answer))
            yield from without_repetition(text)
        if answer.found:
            answer.usage.ended = answer.usage.ended or "repetition"

    return pieces
