"""What a training step asks of the hardware."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from sharedcli.measuring.parameters import Parameters
from sharedcli.model.adapter import Adapter
from sharedcli.training.batches import IGNORED, Batch, alike


@dataclass(frozen=True)
class Cost(Parameters):
    """The parameters that a token meets, and whether the compressor's are trained."""

    compressor_trains: bool

    @classmethod
    def of_run(cls, base: Any, adapter: Adapter, compressor_trains: bool) -> Cost:
        """Count them for a base with an adapter."""
        counts = Parameters.of(base.config, adapter)
        return cls(**asdict(counts), compressor_trains=compressor_trains)

    def flops(self, batch: Batch) -> float:
        """Operations of a batch, forward and backward, without recomputation.

        Frozen weights cost 2 operations per parameter and token forward and 2 backward (no
        gradient of their own), trained ones 6; attention 4 x width per pair of tokens forward.
        Padding counts nothing, and what several running texts begin with alike counts once.
        """
        running, own = _running(batch)
        targets = int((batch.labels >= 0).sum())
        read = sum(len(context) for context in batch.contexts)
        slots = _slots(batch)
        decoder = 4.0 * self.layer * self.layers + 6 * self.decoder_update
        work = running * decoder + 4.0 * self.head * targets
        pairs = own * self.layers + running * slots * self.injected
        work += 12.0 * self.hidden * pairs
        passes = 2 if self.compressor_trains else 1
        work += read * 2.0 * passes * self.layer * self.injected
        work += read * (6.0 if self.compressor_trains else 2.0) * self.compressor_update
        for teacher in batch.teachers:
            size = len(teacher)
            work += 2.0 * self.layer * self.layers * size + 2.0 * self.hidden * size**2
        return work

    def attention_weights(self, batch: Batch) -> float:
        """Numbers that attention keeps for the backward pass, of one head: pairs by layers.

        Texts that begin alike are read as one sequence, in which those of others are masked.
        """
        lengths, slots = _lengths(batch), _slots(batch)
        runs = [
            shared + sum(length - shared for length in lengths[first:last])
            for first, last, shared in alike(batch)
        ]
        return sum(length * slots * self.injected + length**2 / 2 * self.layers for length in runs)


def _lengths(batch: Batch) -> list[int]:
    """Tokens of each running text, without padding."""
    places = torch.arange(1, batch.tokens.shape[1] + 1, device=batch.labels.device)
    found: list[int] = (places * (batch.labels != IGNORED)).amax(-1).tolist()
    return found


def _running(batch: Batch) -> tuple[int, float]:
    """Tokens that the decoder reads, and pairs of them of which one sees the other."""
    lengths = _lengths(batch)
    tokens, pairs = 0, 0.0
    for first, last, shared in alike(batch):
        tokens += shared + sum(length - shared for length in lengths[first:last])
        pairs += (shared**2 + sum(length**2 - shared**2 for length in lengths[first:last])) / 2
    return tokens, pairs


def _slots(batch: Batch) -> float:
    """Mean slots per context."""
    if not batch.cuts:
        return 0.0
    counts = [sum(c.tree.slots(n) for f in c.frontiers for n in f) for c in batch.cuts]
    return sum(counts) / len(counts)
