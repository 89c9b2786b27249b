"""Decoding: the same text in parts or at once, sampling that repeats, and where it stops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from shared_samples import attached, greatest, ids, random_slots, small_base

from sharedcli.errors import UsageError
from sharedcli.model.decoder import Decoder, Sampling
from sharedcli.model.sharedllm import SharedLLM

NEVER: frozenset[int] = frozenset()


@pytest.fixture(params=["joint", "cross"])
def model(request: pytest.FixtureRequest) -> Iterator[SharedLLM]:
    with attached(small_base(), form=request.param, used=True, decoder_rank=2) as shared:
        yield shared


def say(model: SharedLLM, count: int = 12, stop: frozenset[int] = NEVER, **how: Any) -> list[int]:
    decoder = Decoder(model, model.prepare(random_slots(model, 3)))
    return list(decoder.generate(ids(7), stop, count, Sampling(**how)))


def test_greedy_text_is_the_argmax_of_whole_passes(model: SharedLLM) -> None:
    said = say(model)
    injected = model.prepare(random_slots(model, 3))
    text = ids(7).tolist()
    for token in said:
        assert int(model(torch.tensor([text]), injected)[0, -1].argmax()) == token
        text.append(token)


def test_every_tokens_logits_are_weighed_in_their_order(model: SharedLLM) -> None:
    seen: list[torch.Tensor] = []

    def forbid(logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits)
        return logits.index_fill(0, logits.argmax(), -torch.inf)

    def generate(stop: frozenset[int]) -> list[int]:
        seen.clear()
        decoder = Decoder(model, model.prepare(random_slots(model, 3)))
        return list(decoder.generate(ids(7), stop, 4, weigh=forbid))

    said = generate(NEVER)
    seconds = [int(logits.topk(2).indices[1]) for logits in seen]
    assert len(said) == 4 and said == seconds
    stop = next(token for token in said if token != said[0])
    before = said.index(stop)
    assert generate(frozenset({stop})) == said[:before]
    assert len(seen) == before + 1  # the one that ended it too


def test_reading_in_parts_equals_reading_at_once(model: SharedLLM) -> None:
    injected = model.prepare(random_slots(model, 3))
    whole = Decoder(model, injected).read(ids(9))
    decoder = Decoder(model, injected)
    for part in ids(9).split([4, 1, 3, 1]):
        last = decoder.read(part)
    assert decoder.seen == 9
    assert greatest(last, whole) < 1e-5


def test_without_slots_it_is_the_plain_base() -> None:
    base = small_base()
    with attached(base) as model:
        said = list(Decoder(model).generate(ids(7), NEVER, 8))
    expected = base.generate(ids(7)[None], max_new_tokens=8, do_sample=False, pad_token_id=0)
    assert said == expected[0, 7:].tolist()


def test_a_seed_repeats_and_another_differs(model: SharedLLM) -> None:
    hot = {"temperature": 1.5, "top_p": 0.95}
    assert say(model, seed=1, **hot) == say(model, seed=1, **hot)
    assert say(model, seed=1, **hot) != say(model, seed=2, **hot)


@pytest.mark.parametrize("how", [{"temperature": 1e-9}, {"temperature": 1.0, "top_p": 1e-9}])
def test_the_coldest_sampling_is_greedy(model: SharedLLM, how: dict[str, float]) -> None:
    assert say(model, **how) == say(model)


def test_it_stops_before_a_stop_token(model: SharedLLM) -> None:
    said = say(model)
    stop = said[4]
    assert say(model, stop=frozenset({stop})) == said[: said.index(stop)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_it_says_no_more_than_asked(model: SharedLLM, count: int) -> None:
    assert len(say(model, count)) == count


def test_a_repetition_penalty_spares_the_prompt_and_counts_for_the_answer(
    model: SharedLLM,
) -> None:
    said = say(model, 40, repetition_penalty=1e9)
    assert len(set(said)) == len(said)
    assert said[0] == say(model, 1)[0]


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ({"temperature": -0.1}, "temperature must be 0 or more, not -0.1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top-p must be above 0 and at most 1"),
        ({"top_p": 1.1}, "top-p"),
        ({"repetition_penalty": 0.0}, "repetition penalty must be above 0"),
    ],
)
def test_impossible_sampling_is_refused(how: dict[str, float], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Sampling(**how)  # type: ignore[arg-type]


def test_an_empty_prompt_is_refused(model: SharedLLM) -> None:
    with pytest.raises(UsageError, match="nothing to continue"):
        list(Decoder(model).generate(torch.empty(0, dtype=torch.long), NEVER, 3))
