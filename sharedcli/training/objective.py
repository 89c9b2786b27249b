"""One forward pass and its loss.

Notable choices:
- The vocabulary head, the most expensive layer of a small model, runs only where there is a loss.
- The compressor runs without gradient where nothing of it trains.
- Distillation compares with the base itself, reading the same context with full attention (KL on
  the running text). Of the teacher's distribution its likeliest tokens and the mass of all others
  are kept: a lower bound of the whole KL, exact if all are kept.

``TrainingStep`` is the module that is handed to the distributed wrapper: all parameters that train
are used inside its ``forward``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.model.attention import InjectedKV
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import Compressor
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.training.batches import IGNORED, Batch
from sharedcli.training.recipe import Objective

TEACHER_TOKENS = 32768
"""Tokens that a teacher reads in one pass; it keeps no activations."""


@dataclass(frozen=True)
class Teacher:
    """A teacher's distributions at the N places with a loss.

    Attributes:
        ids: its likeliest tokens [N, k].
        log_probs: their log-probabilities [N, k], float32.
    """

    ids: Tensor
    log_probs: Tensor


@dataclass(frozen=True)
class Losses:
    """Means over the places with a loss, in nats; ``total`` is what is minimised."""

    total: Tensor
    next_token: Tensor
    distillation: Tensor


class TrainingStep(nn.Module):
    """A batch goes in, its losses come out."""

    def __init__(
        self, model: SharedLLM, compressor: Compressor, compressor_trains: bool = True
    ) -> None:
        super().__init__()
        self.model = model
        self._compressor = [compressor]  # not a submodule: it holds the model already
        self.compressor_trains = compressor_trains

    def forward(
        self,
        batch: Batch,
        objective: Objective,
        teacher: Teacher | None = None,
        slots: CompressedKV | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses by name; ``slots`` are the contexts' if they are known already."""
        logits = self.logits(batch, self.inject(batch, slots))
        losses = weigh(logits, picked_labels(batch), objective, teacher)
        return {
            "total": losses.total,
            "next_token": losses.next_token,
            "distillation": losses.distillation,
        }

    def compress(self, batch: Batch) -> CompressedKV | None:
        """Slots of the batch's contexts."""
        if not batch.cuts:
            return None
        return self._compressor[0].compress_frontiers(
            batch.contexts,
            [cut.tree for cut in batch.cuts],
            [cut.frontiers for cut in batch.cuts],
        )

    def inject(self, batch: Batch, slots: CompressedKV | None = None) -> InjectedKV | None:
        """Slots at their places, one row for each running text."""
        with nullcontext() if self.compressor_trains else torch.no_grad():
            slots = self.compress(batch) if slots is None else slots
        if slots is not None and batch.sees is not None:
            return self.model.prepare(seen_parts(slots, batch.owner.tolist(), batch.sees))
        return owned(self.model.prepare(slots), batch.owner, len(batch.contexts))

    def logits(self, batch: Batch, injected: InjectedKV | None) -> Tensor:
        """The decoder's logits at places with a loss, [N, V]."""
        end = int(batch.tokens.shape[1]) - 1
        keep = torch.arange(batch.first, end, device=batch.tokens.device)
        logits = self.model(batch.tokens, injected, logits_to_keep=keep)
        picked: Tensor = logits[batch.labels[:, batch.first : end] != IGNORED]
        return picked


def picked_labels(batch: Batch) -> Tensor:
    """The tokens to predict at places with a loss, [N], in the order of ``TrainingStep.logits``."""
    labels = batch.labels[:, batch.first : -1]
    return labels[labels != IGNORED]


def seen_parts(slots: CompressedKV, owner: Sequence[int], sees: Sequence[int]) -> CompressedKV:
    """For each running text the slots of its context's first ``sees`` tokens, as one batch."""
    return CompressedKV.batch(
        [slots.row(row).before(tokens) for row, tokens in zip(owner, sees, strict=True)]
    )


def owned(injected: InjectedKV | None, owner: Tensor, contexts: int) -> InjectedKV | None:
    """Give each running text its context's slots; one context needs no copy for each."""
    if injected is None or contexts == 1 or owner.shape[0] == contexts:
        return injected

    def rows(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.index_select(0, owner)

    angles = injected.query_angles
    return replace(
        injected,
        keys=tuple(rows(keys) for keys in injected.keys),
        values=tuple(rows(values) for values in injected.values),
        valid=rows(injected.valid),
        start=rows(injected.start),
        query_angles=None if angles is None else (rows(angles[0]), rows(angles[1])),
    )


def weigh(logits: Tensor, labels: Tensor, objective: Objective, teacher: Teacher | None) -> Losses:
    """Mix next-token loss and distillation.

    Args:
        logits: [N, V]; labels: [N].
        teacher: needed where the objective's distillation is above 0.
    """
    logits = logits.float()
    normaliser = logits.logsumexp(-1, keepdim=True)
    next_token = (normaliser - logits.gather(-1, labels[:, None])).mean()
    total = objective.next_token * next_token
    distillation = logits.new_zeros(())
    if teacher is not None:
        same = objective.temperature == 1
        distillation = kl(logits, teacher, objective.temperature, normaliser if same else None)
        total = total + objective.distillation * distillation
    return Losses(total, next_token.detach(), distillation.detach())


def kl(
    logits: Tensor, teacher: Teacher, temperature: float = 1.0, normaliser: Tensor | None = None
) -> Tensor:
    """KL(teacher || student), mean over N places, times temperature squared.

    What the teacher's kept tokens leave of the mass counts as one more token, on both sides.
    ``normaliser`` [N, 1] is the log of the sum over the vocabulary, where it is known already.
    """
    if normaliser is None:
        logits = logits / temperature
        normaliser = logits.logsumexp(-1, keepdim=True)
    student = logits.gather(-1, teacher.ids) - normaliser
    wanted = teacher.log_probs
    divergence = (wanted.exp() * (wanted - student)).sum(-1)
    if teacher.ids.shape[-1] < logits.shape[-1]:
        rest, rest_student = _rest(wanted), _rest(student)
        divergence = divergence + rest * (rest.log() - rest_student.log())
    return divergence.mean() * temperature**2


def _rest(log_probs: Tensor) -> Tensor:
    """Mass that [N, k] log-probabilities leave, [N], kept away from zero."""
    return (1 - log_probs.exp().sum(-1)).clamp_min(1e-6)


@torch.no_grad()
def teach(model: SharedLLM, batch: Batch, objective: Objective) -> Teacher:
    """Let the plain base read each running text's context with full attention."""
    found: dict[int, tuple[Tensor, Tensor]] = {}
    counts = (batch.labels != IGNORED).sum(-1).tolist()
    for first, last in _groups([len(read) for read in batch.teachers]):
        # padding on the right is behind all that is read
        tokens = nn.utils.rnn.pad_sequence(list(batch.teachers[first:last]), batch_first=True)
        spans = [
            (row, read - first, begin - 1, begin - 1 + count)
            for row, ((read, begin), count) in enumerate(zip(batch.taught, counts, strict=True))
            if first <= read < last
        ]
        wanted = sorted({place for _, _, low, high in spans for place in range(low, high)})
        keep = torch.tensor(wanted, device=tokens.device)
        logits = model(tokens, role=None, logits_to_keep=keep)
        for row, read, low, high in spans:
            at = bisect_left(wanted, low)
            found[row] = _likeliest(logits[read, at : at + high - low], objective)
    rows = [found[row] for row in range(len(counts))]
    return Teacher(torch.cat([ids for ids, _ in rows]), torch.cat([kept for _, kept in rows]))


def _likeliest(logits: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
    """The kept tokens of distributions [N, V] and their log-probabilities."""
    logits = logits.float() / objective.temperature
    size = logits.shape[-1]
    best = logits.topk(min(objective.top_k or size, size))
    return best.indices, best.values - logits.logsumexp(-1, keepdim=True)


def _groups(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut rows into runs whose padded tokens stay within ``TEACHER_TOKENS``."""
    groups: list[tuple[int, int]] = []
    first = 0
    for last in range(1, len(lengths) + 1):
        padded = max(lengths[first : last + 1]) * (last + 1 - first)
        if last == len(lengths) or padded > TEACHER_TOKENS:
            groups.append((first, last))
            first = last
    return groups
