"""The text of an answer: the decoder's tokens, weighed, decoded, and stopped where they repeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sharedcli.answer.asked_row import Place
from sharedcli.answer.corrections import Correction, as_tables_say
from sharedcli.answer.echo import EchoGuard
from sharedcli.answer.grounds import Grounds
from sharedcli.answer.prompt import Excerpt
from sharedcli.answer.repetition import without_repetition
from sharedcli.answer.stream import decode_stream, stop_tokens
from sharedcli.answer.verdict import Verdict, when_sure
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
    asked: str,
    shown: Sequence[Excerpt],
    row: Place | None,
    grounds: Grounds | None,
    refusal: str,
) -> Callable[[Answer], Iterator[str]]:
    """What produces an answer's text when it is iterated, and fills in its usage.

    Args:
        model: loaded base and adapter.
        settings: sampling, longest answer, weights for decoding.
        prompt: token ids.
        injected: slots, or None.
        asked: the question, with the one before if it goes on.
        shown: the prompt's passages.
        row: of a table, that the question asks for.
        grounds: what the answer is held against; None where the decoder's verdict does not count.
        refusal: what to say where it does and nothing is answered.
    """
    sampling = Sampling(settings.temperature, settings.top_p, settings.seed)
    stop = stop_tokens(model.base.model.config, model.base.tokenizer)
    verdict = Verdict(model.base.tokenizer, model.shared.config.abstains)
    guard = EchoGuard(model.base.tokenizer, asked, stop)
    weights: Any = settings.decode_weights  # one of its choices, as settings are checked

    def weigh(logits: Tensor) -> Tensor:
        return verdict.weigh(guard.weigh(logits))

    def tokens(answer: Answer) -> Iterator[int]:
        usage = answer.usage
        decoder = Decoder(model.shared, injected, weights)
        given = torch.tensor(prompt)
        began = 0.0
        for token in decoder.generate(given, stop, settings.max_tokens, sampling, weigh):
            guard.hear(token)
            began = began or time.monotonic()
            answer.timings.decode = time.monotonic() - began
            usage.answer_tokens += 1
            usage.drafted_tokens, usage.accepted_tokens = decoder.drafted, decoder.accepted
            answer.unstated, answer.confidence = verdict.unstated, verdict.confidence
            yield token
        answer.unstated, answer.confidence = verdict.unstated, verdict.confidence
        usage.ended = "stop" if usage.answer_tokens < settings.max_tokens else "length"

    def pieces(answer: Answer) -> Iterator[str]:
        def note(correction: Correction) -> None:
            answer.corrected += (correction,)

        text = without_repetition(decode_stream(model.base.tokenizer, tokens(answer)))
        text = as_tables_say(text, answer.question, shown, row, note)
        if grounds is not None:
            text = when_sure(text, verdict, grounds, lambda: answer.refuse(refusal))
        with guard_memory("answering"):
            yield from text
        answer.usage.ended = answer.usage.ended or "repetition" if answer.found else ""

    return pieces
