"""Which sequences of tokens the compressor reads for wanted nodes, and which of them together.

A left half is a prefix of its node, since attention is causal, and comes for free; sequences of
like length share a pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from sharedcli.tree.context_tree import Node

PADDED = 2 / 3
"""Through merged weights, sequences of at least this share of the longest are read beside it: a
pass more costs more than the padding. With gradient only equal ones are: no padding, same sums."""


@dataclass(frozen=True)
class Job:
    """One sequence to encode: document tokens from ``start`` to ``end`` of context ``context``.

    ``start`` is before the nodes it serves where the geometry has a lead.
    """

    context: int
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def merge_prefixes(by_job: Mapping[Job, Sequence[Node]]) -> dict[Job, list[Node]]:
    """Serve jobs that start where a longer one does from the longer one's pass."""
    longest: dict[tuple[int, int], Job] = {}
    for job in by_job:
        best = longest.setdefault((job.context, job.start), job)
        if job.end > best.end:
            longest[job.context, job.start] = job
    merged: dict[Job, list[Node]] = defaultdict(list)
    for job, nodes in by_job.items():
        merged[longest[job.context, job.start]] += nodes
    return merged


def batches(jobs: Sequence[Job], batch_tokens: int, shortest: float) -> Iterable[list[Job]]:
    """Group jobs, longest first, up to ``batch_tokens``; none below ``shortest`` of the longest."""
    batch: list[Job] = []
    for job in jobs:
        longest = len(batch[0]) if batch else 0
        if batch and (len(job) < shortest * longest or (len(batch) + 1) * longest > batch_tokens):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def stack(contexts: Sequence[Tensor], batch: Sequence[Job]) -> Tensor:
    """Tokens [B, T] of sequences, zeros behind the shorter ones: attention never looks ahead."""
    rows = [contexts[job.context][job.start : job.end] for job in batch]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)
