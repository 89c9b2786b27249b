"""Timed runs of several methods in turn, so that what slows the machine down hits all alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from sharedcli.benchmarks.clock import Clock
from sharedcli.benchmarks.methods.contract import Method
from sharedcli.benchmarks.sample import Sample
from sharedcli.errors import OutOfMemoryError
from sharedcli.model.devices import guard_memory

WARM_TOKENS = 2048
WARM_ANSWER = 4


@dataclass(frozen=True)
class Timing:
    """One run: seconds of each stage, and CPU seconds of all."""

    method: str
    round: int
    context: float
    prompt: float
    answer: float
    cpu: float
    slots: int = 0

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def run_once(
    method: Method, name: str, sample: Sample, answer_tokens: int, turn: int = 0
) -> Timing:
    """Answer once, and time the stages.

    Args:
        method: reads the context and answers.
        name: for the record.
        sample: context and prompt.
        answer_tokens: tokens to decode.
        turn: number of the round.
    """
    gc.collect()
    clock = Clock(method.bench.device)
    with torch.inference_mode():
        clock.mark()
        answering = method.read(sample)
        clock.mark()
        tokens = answering(sample.prompt, answer_tokens)
        next(tokens)
        clock.mark()
        for _ in tokens:
            pass
        clock.mark()
    context, prompt, answer = clock.seconds()
    return Timing(name, turn, context, prompt, answer, clock.cpu, method.slots)


def warm_up(method: Method, name: str, sample: Sample) -> None:
    """Run once without counting: the whole context on a GPU or from a store, else the start."""
    whole = method.stored or method.bench.device.type != "cpu"
    run_once(method, name, sample if whole else sample.first(WARM_TOKENS), WARM_ANSWER)


def turns(names: Sequence[str], runs: int) -> list[tuple[int, str]]:
    """The order of the runs: every method once a round, each round begun by the next one."""
    return [
        (turn, names[(turn + place) % len(names)])
        for turn in range(runs)
        for place in range(len(names))
    ]


def time_in_turn(
    methods: Mapping[str, Method],
    sample: Sample,
    answer_tokens: int,
    runs: int,
    told: Callable[[int, int, str], None] = lambda _done, _total, _name: None,
) -> tuple[list[Timing], dict[str, str]]:
    """Warm every method up, then time them in turn.

    Returns:
        The timings in the order they were taken, and why methods failed that ran out of memory;
        those have no timings.
    """
    failed: dict[str, str] = {}
    for name, method in methods.items():
        with _noting(failed, name):
            warm_up(method, name, sample)
    names = [name for name in methods if name not in failed]
    order = turns(names, runs) if names else []
    timings = []
    for done, (turn, name) in enumerate(order):
        told(done, len(order), name)
        if name not in failed:
            with _noting(failed, name):
                timings.append(run_once(methods[name], name, sample, answer_tokens, turn))
    return [timing for timing in timings if timing.method not in failed], failed


@contextmanager
def _noting(failed: dict[str, str], name: str) -> Iterator[None]:
    """Note an out-of-memory instead of passing it on."""
    try:
        with guard_memory(f"running {name}"):
            yield
    except OutOfMemoryError as error:
        failed[name] = str(error)
