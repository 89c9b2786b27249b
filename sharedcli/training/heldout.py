"""Loss on documents that training never saw, side by side under different ways to read them.

For each sample the same running text is read by the adapted decoder with nothing injected
(``none``), with slots at each ratio (``injected@8``), with the context's chunks permuted
(``shuffled@8``), with another sample's context (``other@8``) and with full attention over the
context (``full``); and by the plain base without and with the context (``base_none``,
``base_full``). Each is weighted by its targets.

``gap_closed`` is the share of what full attention gains over nothing that injection recovers:
(none - injected) / (none - full).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sharedcli.training.batches import Batch, make_batch
from sharedcli.training.cuts import Cut, fixed_cut, level_geometry
from sharedcli.training.objective import TrainingStep, picked_labels
from sharedcli.training.questions import QuestionSampler
from sharedcli.training.recipe import Evaluation
from sharedcli.training.samples import Sample, TextSampler
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.geometry import TreeGeometry


@dataclass(frozen=True)
class Table:
    """What was measured on one kind of sample.

    Attributes:
        losses: mean loss in nats by way of reading.
        gap_closed: by ratio ("8"), NaN where full attention gains nothing.
        gain: none - injected by ratio, with half the width of its 95% confidence interval over
            samples (paired, normal approximation).
    """

    kind: str
    samples: int
    losses: dict[str, float]
    gap_closed: dict[str, float]
    gain: dict[str, tuple[float, float]]

    def to_plain(self) -> dict[str, Any]:
        """JSON values; numbers that are none become null."""

        def number(value: float) -> float | None:
            return round(value, 5) if math.isfinite(value) else None

        return {
            "kind": self.kind,
            "samples": self.samples,
            "losses": {name: number(value) for name, value in self.losses.items()},
            "gap_closed": {name: number(value) for name, value in self.gap_closed.items()},
            "gain": {name: [number(v) for v in pair] for name, pair in self.gain.items()},
        }


class HeldOut:
    """Fixed held-out samples, and what to measure on them."""

    def __init__(
        self,
        step: TrainingStep,
        *,
        plan: Evaluation,
        geometry: TreeGeometry,
        seed: int,
        text: TextSampler | None,
        questions: QuestionSampler | None,
        autocast: Callable[[], Any],
    ) -> None:
        self._step = step
        self._plan = plan
        self._geometry = geometry
        self._autocast = autocast
        self._base: dict[str, list[tuple[float, float]]] = {}
        self.samples: dict[str, list[Sample]] = {}
        if text is not None and plan.samples:
            self.samples["text"] = [
                text.draw(Random(f"{seed}/held/{i}"), plan.context_tokens, plan.running_tokens)
                for i in range(plan.samples)
            ]
        if questions is not None and plan.samples:
            self.samples["questions"] = [
                questions.draw(Random(f"{seed}/asked/{i}"), plan.context_tokens, 4, distractors=1.0)
                for i in range(plan.samples)
            ]

    @torch.no_grad()
    def measure(self, on_sample: Callable[[], None] = lambda: None) -> list[Table]:
        """Measure all samples; ``on_sample`` is called after each."""
        return [self._table(kind, samples, on_sample) for kind, samples in self.samples.items()]

    def _table(self, kind: str, samples: Sequence[Sample], on_sample: Callable[[], None]) -> Table:
        rows: list[dict[str, tuple[float, int]]] = []
        for index, sample in enumerate(samples):
            with self._autocast():
                row = self._read(sample, samples[(index + 1) % len(samples)])
                row |= self._plain(f"{kind}/{index}", sample)
            rows.append(row)
            on_sample()
        names = list(rows[0])
        targets = sum(row["none"][1] for row in rows)
        losses = {n: sum(row[n][0] * row[n][1] for row in rows) / targets for n in names}
        span = losses["none"] - losses["full"]
        closed: dict[str, float] = {}
        gain: dict[str, tuple[float, float]] = {}
        for ratio in self._plan.ratios:
            name = f"injected@{ratio:g}"
            closed[f"{ratio:g}"] = (losses["none"] - losses[name]) / span if span > 0 else math.nan
            gain[f"{ratio:g}"] = _interval([row["none"][0] - row[name][0] for row in rows])
        return Table(kind, len(rows), losses, closed, gain)

    def _read(self, sample: Sample, other: Sample) -> dict[str, tuple[float, int]]:
        """Losses of the adapted decoder: sums of nats over targets, and targets."""
        bare = self._to(make_batch([sample], (), teachers=False))
        found = {"none": self._loss(bare)}
        for ratio in self._plan.ratios:
            found[f"injected@{ratio:g}"] = self._injected(sample, sample.context, ratio)
        if self._plan.ratios:
            ratio = self._plan.ratios[-1]
            shuffled = _permuted(sample.context, self._geometry.chunk_tokens)
            found[f"shuffled@{ratio:g}"] = self._injected(sample, shuffled, ratio)
            if other is not sample:
                found[f"other@{ratio:g}"] = self._injected(sample, other.context, ratio)
        found["full"] = self._full(sample, "decoder")
        return found

    def _plain(self, key: str, sample: Sample) -> dict[str, tuple[float, int]]:
        """Losses of the plain base: they never change, so they are measured once."""
        if key not in self._base:
            bare = self._to(make_batch([sample], ()))
            self._base[key] = [self._loss(bare, role=None), self._full(sample, None)]
        none, full = self._base[key]
        return {"base_none": (none[0], int(none[1])), "base_full": (full[0], int(full[1]))}

    def _injected(self, sample: Sample, context: Tensor, ratio: float) -> tuple[float, int]:
        cut = self._cut(len(context), ratio)
        return self._loss(self._to(make_batch([replace(sample, context=context)], [cut])))

    def _cut(self, length: int, ratio: float) -> Cut:
        if self._plan.frontier == "right":
            return fixed_cut(length, self._geometry, ratio)
        tree = ContextTree(length, level_geometry(self._geometry, ratio, self._geometry.depth))
        depth = tree.geometry.depth
        return Cut(tree, tuple(tree.level(chunk, depth) for chunk in range(tree.chunks)))

    def _loss(self, batch: Batch, role: Any = "decoder") -> tuple[float, int]:
        if role is None:
            end = int(batch.tokens.shape[1]) - 1
            logits = self._step.model(batch.tokens, role=None)[:, :end]
            logits = logits[batch.labels[:, :end] >= 0]
            labels = batch.labels[:, :end][batch.labels[:, :end] >= 0]
        else:
            logits = self._step.logits(batch, self._step.inject(batch))
            labels = picked_labels(batch)
        return float(cross_entropy(logits.float(), labels)), len(labels)

    def _full(self, sample: Sample, role: Any) -> tuple[float, int]:
        """Read context and running text in one sequence with full attention."""
        device = self._step.model.device
        total, count = 0.0, 0
        for text in sample.running:
            read = text.verbatim
            if read is None:
                read = torch.cat((sample.context, text.tokens))
            targets = text.tokens[text.first_target :].to(device)
            logits = self._step.model(
                read[None].to(device), role=role, logits_to_keep=len(targets) + 1
            )[0, :-1]
            total += float(cross_entropy(logits.float(), targets, reduction="sum"))
            count += len(targets)
        return total / count, count

    def _to(self, batch: Batch) -> Batch:
        return batch.to(self._step.model.device)


def _permuted(context: Tensor, chunk: int) -> Tensor:
    """The context with its chunks (quarters, if it has few) in reverse order."""
    return torch.cat(context.split(min(chunk, -(-len(context) // 4)))[::-1])


def _interval(values: Sequence[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, 1.96 * math.sqrt(variance / len(values))
