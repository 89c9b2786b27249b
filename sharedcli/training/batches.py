"""Samples become tensors: one batch for one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sharedcli.training.cuts import Cut
from sharedcli.training.samples import Sample

IGNORED = -100
"""Label of tokens without loss."""
LEAST_ALIKE = 16
"""Texts that begin alike for fewer tokens are read one by one."""


@dataclass(frozen=True)
class Batch:
    """Contexts and the running texts that read them: C contexts, R running texts.

    Attributes:
        contexts: token ids of each context.
        cuts: tree and frontiers of each context; empty where nothing is injected.
        owner: context of each running text, [R].
        tokens: running texts [R, T], padded on the right (attention is causal, so padding changes
            nothing before it).
        labels: the token to predict at each place [R, T], shifted: ``IGNORED`` where no loss is.
        first: the first place with a label, for any running text.
        teachers: what a teacher reads.
        taught: for each running text, which of ``teachers`` holds its targets, and where they
            begin in it.
        sees: tokens of its context that each running text sees, [R]; None if all see all.
        digest: name of the batch for things kept on disk; "" where it does not come again.
    """

    contexts: tuple[Tensor, ...]
    cuts: tuple[Cut, ...]
    owner: Tensor
    tokens: Tensor
    labels: Tensor
    first: int
    teachers: tuple[Tensor, ...] = ()
    taught: tuple[tuple[int, int], ...] = ()
    sees: tuple[int, ...] | None = None
    digest: str = ""

    @property
    def size(self) -> int:
        """Tokens read by either role."""
        return int(sum(len(context) for context in self.contexts) + self.tokens.numel())

    def to(self, device: torch.device) -> Batch:
        """Move the tensors."""
        return replace(
            self,
            contexts=tuple(context.to(device, non_blocking=True) for context in self.contexts),
            owner=self.owner.to(device, non_blocking=True),
            tokens=self.tokens.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            teachers=tuple(teacher.to(device, non_blocking=True) for teacher in self.teachers),
        )


def alike(batch: Batch) -> list[tuple[int, int, int]]:
    """Runs of running texts that read one context and begin alike.

    Returns:
        For each run its first row, the row after its last, and the tokens that begin it in all of
        them; 0 tokens where a row stands alone. No token with a label is among them.
    """
    runs: list[tuple[int, int, int]] = []
    starts = (batch.labels != IGNORED).int().argmax(-1)
    for row in range(len(batch.tokens)):
        first, last, shared = runs[-1] if runs else (0, 0, 0)
        if last == row > 0 and _same_context(batch, first, row):
            most = int(min(starts[row], shared or starts[first]))
            same = batch.tokens[row, :most] == batch.tokens[first, :most]
            common = most if bool(same.all()) else int(same.int().argmin())
            if common >= LEAST_ALIKE:
                runs[-1] = (first, row + 1, common)
                continue
        runs.append((row, row + 1, 0))
    return runs


def _same_context(batch: Batch, one: int, other: int) -> bool:
    sees = batch.sees is None or batch.sees[one] == batch.sees[other]
    return bool(batch.owner[one] == batch.owner[other]) and sees


def make_batch(
    samples: Sequence[Sample], cuts: Sequence[Cut], *, teachers: bool = False, digest: str = ""
) -> Batch:
    """Collate ``samples``; without ``cuts`` nothing is injected, and teachers read no context."""
    running = [(i, text) for i, sample in enumerate(samples) for text in sample.running]
    tokens = nn.utils.rnn.pad_sequence([text.tokens for _, text in running], batch_first=True)
    labels = torch.full_like(tokens, IGNORED)
    for row, (_, text) in enumerate(running):
        last = len(text.tokens)
        labels[row, text.first_target - 1 : last - 1] = text.tokens[text.first_target :]
    reads, taught = _reads(samples, bool(cuts)) if teachers else ([], [])
    sees = [len(samples[i].context) if text.sees is None else text.sees for i, text in running]
    partly = any(text.sees is not None for _, text in running)
    return Batch(
        contexts=tuple(sample.context for sample in samples) if cuts else (),
        cuts=tuple(cuts),
        owner=torch.tensor([i for i, _ in running]),
        tokens=tokens,
        labels=labels,
        first=min(text.first_target for _, text in running) - 1,
        teachers=tuple(reads),
        taught=tuple(taught),
        sees=tuple(sees) if partly and cuts else None,
        digest=digest,
    )


def _reads(samples: Sequence[Sample], informed: bool) -> tuple[list[Tensor], list[tuple[int, int]]]:
    """What a teacher reads, and where in it each running text's targets begin.

    Running texts along a context are parts of one reading.
    """
    reads: list[Tensor] = []
    taught: list[tuple[int, int]] = []
    for sample in samples:
        whole = -1
        for text in sample.running:
            if informed and text.sees is not None:
                if whole < 0:
                    whole = len(reads)
                    reads.append(torch.cat((sample.context, sample.running[-1].tokens)))
                taught.append((whole, text.sees + text.first_target))
                continue
            if not informed:
                read = text.tokens
            elif text.verbatim is not None:
                read = text.verbatim
            else:
                read = torch.cat((sample.context, text.tokens))
            taught.append((len(reads), len(read) - len(text.tokens) + text.first_target))
            reads.append(read)
    return reads, taught
