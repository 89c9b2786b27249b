"""The training loop: stages, steps, measurements, checkpoints.

Notable choices:
- Everything that a step depends on is either in a checkpoint or a function of the step's number, so
  a run that was killed and resumed ends as if it had not been (bit for bit on a CPU, for a budget
  of steps; minutes depend on the clock).
- Training seconds are the seconds of steps alone: measuring, saving and loading do not count.
- A step whose loss or gradient is no number is dropped and counted; too many in a row end the run.

It knows nothing of recipes' files, of reading data, or of terminals: an ``Observer`` is told.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from sharedcli.errors import OutOfMemoryError, SharedCLIError
from sharedcli.measuring.ceiling import Peak
from sharedcli.model.adapter import Adapter
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.devices import guard_memory
from sharedcli.training.batches import Batch
from sharedcli.training.cost import Cost
from sharedcli.training.curve import can_draw, draw_curve
from sharedcli.training.feed import Feed, Place, Prefetch
from sharedcli.training.heldout import HeldOut, Table
from sharedcli.training.kept import KeptTensors
from sharedcli.training.memory import memory_message
from sharedcli.training.metrics import Metrics
from sharedcli.training.objective import Teacher, TrainingStep, teach
from sharedcli.training.observer import Observer
from sharedcli.training.parameters import Trained, configure
from sharedcli.training.recipe import Recipe, Stage
from sharedcli.training.schedule import Budget, budgets, rate_factor
from sharedcli.training.signals import InterruptedTraining, Interruption
from sharedcli.training.state import Progress, save_checkpoint


class Trainer:
    """One run over a recipe's stages."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        accelerator: Accelerator,
        step: TrainingStep,
        trained: Trained,
        optimizer: torch.optim.AdamW,
        feeds: list[Feed],
        heldout: HeldOut,
        folder: Path,
        kept: KeptTensors,
        cost: Cost,
        peak: Peak,
        identity: dict[str, Any],
        progress: Progress,
        observer: Observer,
    ) -> None:
        self.recipe = recipe
        self.progress = progress
        self._accelerator = accelerator
        self._step = step
        self._wrapped = accelerator.prepare_model(step, device_placement=False)
        self._trained = trained
        self._optimizer = optimizer
        self._feeds = feeds
        self._heldout = heldout
        self._folder = folder
        self._kept = kept
        self._cost = cost
        self._peak = peak
        self._identity = identity
        self._observer = observer
        self._budgets = budgets(recipe)
        self._interruption = Interruption()

    @property
    def adapter(self) -> Adapter:
        """What is trained."""
        return self._step.model.adapter

    def run(self) -> None:
        """Train to the end of the budgets, from wherever ``progress`` is.

        Raises:
            InterruptedTraining: asked to stop; the last whole step is on disk.
            OutOfMemoryError: a step does not fit.
            SharedCLIError: too many steps in a row without a usable loss.
        """
        writes = self._accelerator.is_main_process
        begun = self.progress.steps or self.progress.measured_step >= 0
        after = self.progress.steps if begun else -1
        with self._interruption, Metrics(self._folder, after, writes) as metrics:
            try:
                if self.progress.measured_step < 0:
                    self._measure(metrics)
                for index in range(self.progress.stage, len(self.recipe.stages)):
                    if index != self.progress.stage:
                        self.progress.stage = index
                        self.progress.stage_steps, self.progress.stage_seconds = 0, 0.0
                    self._run_stage(index, metrics)
                self.progress.finished = True
                self._measure(metrics)
                self._save()
            except InterruptedTraining as error:
                with self._interruption.critical():
                    self._optimizer.zero_grad(set_to_none=True)
                    self._save()
                raise InterruptedTraining(
                    f"stopped after step {self.progress.steps}; the same command goes on from there"
                ) from error

    def _run_stage(self, index: int, metrics: Metrics) -> None:
        stage, budget, progress = self.recipe.stages[index], self._budgets[index], self.progress
        configure(self._optimizer, stage.optimiser)
        prefetch = Prefetch(self._feeds[index].batch, ahead=2 * stage.accumulate)
        try:
            while (share := self._share(budget)) < 1:
                begin = time.perf_counter()
                record = self._gradients(stage, budget, share, prefetch)
                with self._interruption.critical():  # a step that is made is counted
                    self._update(usable=not record["skipped"])
                    seconds = self._agreed(time.perf_counter() - begin)
                    progress.stage_steps += 1
                    progress.steps += 1
                    progress.stage_seconds += seconds
                    progress.seconds += seconds
                    progress.tokens += record["tokens"]
                    self._finish(record, stage, seconds, metrics)
                self._check_bad_row()
                self._measure_if_due(metrics)
                self._save_if_due()
        finally:
            prefetch.close()

    def _share(self, budget: Budget) -> float:
        return budget.progress(self.progress.stage_steps, self.progress.stage_seconds)

    def _agreed(self, seconds: float) -> float:
        """The first process's clock: all must reach the end of a budget at the same step."""
        if self._accelerator.num_processes == 1:
            return seconds
        shared = torch.tensor([seconds], dtype=torch.float64, device=self._accelerator.device)
        return float(broadcast(shared)[0])

    def _gradients(
        self, stage: Stage, budget: Budget, share: float, prefetch: Prefetch
    ) -> dict[str, Any]:
        """What one optimiser step needs; the gradients of ``accumulate`` batches are summed."""
        names = ("total", "next_token", "distillation")
        sums = dict.fromkeys((*names, "tokens", "targets", "work"), 0.0)
        for micro in range(stage.accumulate):
            batch = prefetch.get(self._coming(stage, budget, share, micro))
            sums["tokens"] += batch.size
            sums["targets"] += int((batch.labels >= 0).sum())
            sums["work"] += self._cost.flops(batch)
            for name, value in self._backward(stage, batch, micro).items():
                sums[name] += float(value) / stage.accumulate
        factor = rate_factor(share, stage.optimiser)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        limit = stage.optimiser.clip or math.inf
        with guard_memory("training"):
            norm = float(torch.nn.utils.clip_grad_norm_(self._trained.by_name.values(), limit))
        sums = self._over_processes(sums, names)
        usable = math.isfinite(norm) and math.isfinite(sums["total"])
        return {
            "loss": sums["total"],
            "next_token": sums["next_token"],
            "distillation": sums["distillation"],
            "rate": stage.optimiser.learning_rate * factor,
            "norm": norm,
            "tokens": int(sums["tokens"]),
            "targets": int(sums["targets"]),
            "work": sums["work"],
            "skipped": not usable,
        }

    def _update(self, *, usable: bool) -> None:
        """Make the step, unless its loss or gradient is no number."""
        if usable:
            with guard_memory("training"):  # the first step makes the moments
                self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.progress.bad_row = 0 if usable else self.progress.bad_row + 1
        self.progress.bad_steps += not usable

    def _over_processes(self, sums: dict[str, float], means: Sequence[str]) -> dict[str, float]:
        """Add up what the processes counted; ``means`` are averaged. One NaN is everyone's."""
        world = self._accelerator.num_processes
        if world == 1:
            return sums
        mine = torch.tensor(list(sums.values()), dtype=torch.float64)
        ours = self._accelerator.reduce(mine.to(self._accelerator.device), "sum").tolist()
        return {
            name: value / world if name in means else value
            for name, value in zip(sums, ours, strict=True)
        }

    def _coming(
        self, stage: Stage, budget: Budget, share: float, micro: int
    ) -> list[tuple[Place, float]]:
        """This batch's place and the next ones', with the share of the stage each is at."""
        rank, world = self._accelerator.process_index, self._accelerator.num_processes
        done, seconds = self.progress.stage_steps, self.progress.stage_seconds
        places: list[tuple[Place, float]] = []
        for ahead in range(2 * stage.accumulate):
            more, number = divmod(micro + ahead, stage.accumulate)
            at = share if not more else budget.progress(done + more, seconds)
            places.append((Place(done + more, number, rank, world), at))
        return places

    def _backward(self, stage: Stage, batch: Batch, micro: int) -> dict[str, torch.Tensor]:
        batch = batch.to(self._step.model.device)
        try:
            with guard_memory("training"):
                known = (self._teacher(stage, batch), self._slots(batch))
                # gradients are exchanged once a step, with its last batch
                last = micro == stage.accumulate - 1
                with nullcontext() if last else self._accelerator.no_sync(self._wrapped):
                    losses = self._wrapped(batch, stage.objective, *known)
                    (losses["total"] / stage.accumulate).backward()
        except OutOfMemoryError as error:
            raise OutOfMemoryError(memory_message(stage, batch, self.recipe)) from error
        found: dict[str, torch.Tensor] = {k: v.detach() for k, v in losses.items()}
        return found

    def _teacher(self, stage: Stage, batch: Batch) -> Teacher | None:
        if not stage.objective.distillation:
            return None

        def make() -> Teacher:
            with self._accelerator.autocast():
                return teach(self._step.model, batch, stage.objective)

        return self._kept.teacher(batch.digest, make)

    def _slots(self, batch: Batch) -> CompressedKV | None:
        """Slots of a batch that comes again, where nothing of the compressor trains."""
        if self._step.compressor_trains or not batch.digest or not batch.cuts:
            return None

        def make() -> CompressedKV | None:
            with torch.no_grad(), self._accelerator.autocast():
                return self._step.compress(batch)

        return self._kept.slots(batch.digest, make)

    def _finish(
        self, record: dict[str, Any], stage: Stage, seconds: float, metrics: Metrics
    ) -> None:
        """Write the step's line."""
        work = record.pop("work")
        line = {
            "step": self.progress.steps,
            "stage": stage.name,
            **record,
            "seconds": round(seconds, 4),
            "tokens_per_second": round(record["tokens"] / seconds, 1),
            "peak_share": round(work / seconds / self._peak.flops, 4),
        }
        metrics.write(line)
        done = sum(stage.share for stage in self.recipe.stages[: self.progress.stage])
        share = done + stage.share * self._share(self._budgets[self.progress.stage])
        total = sum(stage.share for stage in self.recipe.stages)
        self._observer.stepped(line, share / total)

    def _check_bad_row(self) -> None:
        if self.progress.bad_row >= self.recipe.bad_steps:
            raise SharedCLIError(
                f"training diverged: the loss of {self.progress.bad_row} steps in a row was not a "
                f"number, up to step {self.progress.steps}; lower optimiser.learning_rate and "
                "begin again, or go on from an earlier checkpoint"
            )

    def _measure_if_due(self, metrics: Metrics) -> None:
        plan, progress = self.recipe.evaluation, self.progress
        by_steps = plan.every_steps and progress.steps % plan.every_steps == 0
        waited = progress.seconds - progress.measured_at
        if by_steps or (plan.every_minutes and waited >= plan.every_minutes * 60):
            self._measure(metrics)

    def _measure(self, metrics: Metrics) -> None:
        """Measure on held-out documents, unless this step was already."""
        progress = self.progress
        if progress.measured_step == progress.steps or not self._heldout.samples:
            return
        tables: list[Table] = []
        if self._accelerator.is_main_process:
            try:
                with guard_memory("measuring"):
                    tables = self._heldout.measure()
            except OutOfMemoryError as error:
                raise OutOfMemoryError(
                    "not enough memory to measure held-out losses; lower "
                    "evaluation.context_tokens or evaluation.running_tokens in the recipe"
                ) from error
            for table in tables:
                metrics.write({"step": progress.steps, "heldout": table.to_plain()})
            if can_draw():
                draw_curve(self._folder)
        self._accelerator.wait_for_everyone()
        progress.measured_step, progress.measured_at = progress.steps, progress.seconds
        self._observer.measured(progress.steps, tables)

    def _save_if_due(self) -> None:
        recipe, progress = self.recipe, self.progress
        by_steps = recipe.save_steps and progress.steps % recipe.save_steps == 0
        waited = progress.seconds - progress.saved_at
        if by_steps or (recipe.save_minutes and waited >= recipe.save_minutes * 60):
            self._save()

    def _save(self) -> None:
        """Write a checkpoint; the adapter in it knows how far it is trained."""
        progress = self.progress
        progress.saved_at = progress.seconds
        if not self._accelerator.is_main_process:
            return
        adapter = self.adapter
        adapter.config = replace(adapter.config, steps=progress.steps, tokens=progress.tokens)
        with self._interruption.critical():
            path = save_checkpoint(
                self._folder / "checkpoints",
                progress,
                identity=self._identity,
                adapter=adapter,
                optimizer=self._optimizer,
                trained=self._trained,
            )
        self._observer.saved(path)
