"""A training recipe: every choice of a run in one frozen value.

Notable choices:
- Each table of the TOML file is a dataclass here; its fields, types and defaults are the format.
- A recipe is checked when it is built, before any model or data is touched.
- Which parameters train is named in one place, ``Trainable``; which exist, in ``AdapterPlan``.

It knows nothing of files (see ``recipe_files``), of torch, or of the machine it runs on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sharedcli.errors import UsageError
from sharedcli.training.adapter_plan import AdapterPlan, Trainable
from sharedcli.training.data_rules import DataRule
from sharedcli.training.requirement import need

MOST_TOKENS = 8192
"""Longest training sequence, context and running text together (method paper, appendix A)."""


@dataclass(frozen=True)
class Phase:
    """Lengths and ratios up to a share of the stage: a curriculum is a row of phases.

    Attributes:
        until: share of the stage (0 to 1) at which the next phase begins.
        context_tokens, running_tokens: one of each is drawn per batch.
        ratios: overall tokens per slot, one is drawn per batch.
    """

    until: float = 1.0
    context_tokens: tuple[int, ...] = (1024, 2048)
    running_tokens: tuple[int, ...] = (256,)
    ratios: tuple[float, ...] = (1, 2, 4, 8, 16)

    def __post_init__(self) -> None:
        need(0 < self.until <= 1, "curriculum.until", self.until, "above 0 and at most 1")
        for name in ("context_tokens", "running_tokens", "ratios"):
            values = getattr(self, name)
            need(bool(values), f"curriculum.{name}", list(values), "a list with a value")
            need(min(values) >= 1, f"curriculum.{name}", list(values), "1 or more each")
        shortest = min(self.running_tokens)
        need(shortest > 1, "curriculum.running_tokens", shortest, "2 or more: one is read first")
        most = max(self.context_tokens) + max(self.running_tokens)
        if most > MOST_TOKENS:
            raise UsageError(
                f"curriculum: {max(self.context_tokens)} context and {max(self.running_tokens)} "
                f"running tokens make {most}; a sequence may have at most {MOST_TOKENS}"
            )


@dataclass(frozen=True)
class Draw:
    """What is random about a training sample's tree.

    Attributes:
        level, right, path, partition, evidence: weights of the ways to choose a frontier: one
            level of the tree (the same ratio everywhere), the path that always goes right (the
            paper's policy without a query), a random path, a random partition, the path towards
            the answer's place (random where it is unknown).
        split_jitter: standard deviation of a split point, as a share of the node's length.
        drop_chunks: share of batches from which some chunks are dropped.
        no_context: share of long-text batches without injection, so that the decoder unlearns
            nothing.
        distractors: share of samples that have chunks of other documents in their context.
        verbatim: share of questions whose prompt also quotes passages, as a search finds them.
        passages: at most so many of them.
        absent: share of samples with such passages that have a question without an answer.
    """

    level: float = 1.0
    right: float = 1.0
    path: float = 1.0
    partition: float = 1.0
    evidence: float = 0.0
    split_jitter: float = 0.0
    drop_chunks: float = 0.1
    no_context: float = 0.05
    distractors: float = 0.2
    verbatim: float = 0.0
    passages: int = 1
    absent: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.level, self.right, self.path, self.partition, self.evidence)
        need(min(weights) >= 0 < max(weights), "draw", list(weights), "weights, one above 0")
        need(0 <= self.split_jitter < 0.5, "draw.split_jitter", self.split_jitter, "0 to 0.5")
        for name in ("drop_chunks", "no_context", "distractors", "verbatim", "absent"):
            share = getattr(self, name)
            need(0 <= share <= 1, f"draw.{name}", share, "a share from 0 to 1")
        need(self.passages >= 1, "draw.passages", self.passages, "1 or more")


@dataclass(frozen=True)
class Objective:
    """What is minimised: ``next_token`` x cross-entropy + ``distillation`` x KL.

    Attributes:
        temperature: of both distributions in the KL.
        top_k: tokens of the teacher's distribution that are kept, the rest as one; 0 keeps all.
    """

    next_token: float = 1.0
    distillation: float = 0.0
    temperature: float = 1.0
    top_k: int = 64

    def __post_init__(self) -> None:
        weights = (self.next_token, self.distillation)
        need(min(weights) >= 0 < max(weights), "objective", list(weights), "weights, one above 0")
        need(self.temperature > 0, "objective.temperature", self.temperature, "above 0")
        need(self.top_k >= 0, "objective.top_k", self.top_k, "0 or more")


@dataclass(frozen=True)
class Optimiser:
    """AdamW, linear warm-up, then a cosine.

    Attributes:
        injection_scale: learning rate of gates, biases and pooling queries, relative to the rest.
        clip: largest norm of the gradient; 0 for no limit.
        warmup: share of the stage.
        floor: learning rate at the end, relative to its peak.
    """

    learning_rate: float = 1e-3
    injection_scale: float = 10.0
    weight_decay: float = 0.0
    betas: tuple[float, ...] = (0.9, 0.99)
    clip: float = 1.0
    warmup: float = 0.02
    floor: float = 0.1

    def __post_init__(self) -> None:
        need(self.learning_rate > 0, "optimiser.learning_rate", self.learning_rate, "above 0")
        for name in ("injection_scale", "weight_decay", "clip"):
            value = getattr(self, name)
            need(value >= 0, f"optimiser.{name}", value, "0 or more")
        need(len(self.betas) == 2, "optimiser.betas", list(self.betas), "two numbers")
        fits = all(0 <= beta < 1 for beta in self.betas)
        need(fits, "optimiser.betas", list(self.betas), "from 0 to below 1")
        need(0 <= self.warmup <= 1, "optimiser.warmup", self.warmup, "a share from 0 to 1")
        need(0 <= self.floor <= 1, "optimiser.floor", self.floor, "a share from 0 to 1")


@dataclass(frozen=True)
class Stage:
    """One part of a run.

    Attributes:
        name: for logs.
        questions: share of batches that are passages with questions; the others are long text.
        share: this stage's part of the run's steps or minutes, relative to the other stages'.
        batch: contexts per forward pass.
        accumulate: forward passes per step.
        questions_per_context: questions that are answered from one compressed context.
        pool: number of batches that are drawn once and then come again; 0 draws for ever. What a
            teacher or a frozen compressor makes of them is kept on disk.
        context_as_text: let passages with questions serve as long text too.
        along: running texts along each context of long text, each seeing the chunks before it; 0
            for one text behind the context. What is compressed and taught once serves them all.
    """

    name: str = "lm"
    questions: float = 0.0
    share: float = 1.0
    batch: int = 1
    accumulate: int = 1
    questions_per_context: int = 4
    pool: int = 0
    context_as_text: bool = False
    along: int = 0
    curriculum: tuple[Phase, ...] = (Phase(),)
    draw: Draw = field(default_factory=Draw)
    objective: Objective = field(default_factory=Objective)
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        need(0 <= self.questions <= 1, "stages.questions", self.questions, "a share from 0 to 1")
        need(self.share > 0, "stages.share", self.share, "above 0")
        need(self.pool >= 0, "stages.pool", self.pool, "0 or more")
        for name in ("batch", "accumulate", "questions_per_context"):
            need(getattr(self, name) >= 1, f"stages.{name}", getattr(self, name), "1 or more")
        need(self.along >= 0, "stages.along", self.along, "0 or more")
        if self.along and (self.draw.drop_chunks or self.draw.distractors) and self.questions < 1:
            raise UsageError(
                "recipe: stages.along counts on whole contexts of one text; set draw.drop_chunks "
                "and draw.distractors to 0"
            )
        ends = [phase.until for phase in self.curriculum]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1:
            raise UsageError(
                f"stages.curriculum: until is {ends}; let it rise from phase to phase and end at 1"
            )

    def phase(self, progress: float) -> Phase:
        """The phase at a share ``progress`` (0 to 1) of the stage."""
        return next((p for p in self.curriculum if progress < p.until), self.curriculum[-1])


@dataclass(frozen=True)
class Evaluation:
    """Loss on held-out documents: nothing injected, injected, full attention, and controls.

    Attributes:
        samples: of long text and of questions each.
        every_steps, every_minutes: how often; 0 for never. The start and end are always measured.
    """

    samples: int = 12
    context_tokens: int = 1024
    running_tokens: int = 256
    ratios: tuple[float, ...] = (2, 8)
    frontier: Literal["right", "level"] = "right"
    every_steps: int = 0
    every_minutes: float = 10.0

    def __post_init__(self) -> None:
        need(self.samples >= 0, "evaluation.samples", self.samples, "0 or more")
        need(
            self.context_tokens >= 1, "evaluation.context_tokens", self.context_tokens, "1 or more"
        )
        need(self.running_tokens > 1, "evaluation.running_tokens", self.running_tokens, "2 or more")
        ratios = list(self.ratios)
        need(min(ratios, default=1) >= 1, "evaluation.ratios", ratios, "1 or more each")
        most = self.context_tokens + self.running_tokens
        need(most <= MOST_TOKENS, "evaluation lengths", most, f"{MOST_TOKENS} or fewer together")


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    Attributes:
        steps, minutes: budget over all stages, whichever ends first; 0 for no limit. Minutes count
            training alone, not measuring or loading, so that equal budgets compare.
        precision: "bf16" (autocast), "fp32", or "auto": bf16 where the hardware multiplies it.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        fused: run Llama's layers as functions of merged weights (``training/fused.py``), for speed
            on a CPU; where they do not fit, the ordinary way is taken.
        save_steps, save_minutes: how often a checkpoint is written; 0 for never.
        bad_steps: steps in a row with a loss that is no number after which training stops.
    """

    name: str = "recipe"
    seed: int = 0
    steps: int = 0
    minutes: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    checkpointing: bool = False
    fused: bool = True
    save_steps: int = 0
    save_minutes: float = 10.0
    bad_steps: int = 10
    adapter: AdapterPlan = field(default_factory=AdapterPlan)
    trainable: Trainable = field(default_factory=Trainable)
    data: tuple[DataRule, ...] = ()
    stages: tuple[Stage, ...] = (Stage(),)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        need(bool(self.stages), "stages", "none", "at least one [[stages]] table")
        need(self.steps >= 0, "steps", self.steps, "0 or more")
        need(self.minutes >= 0, "minutes", self.minutes, "0 or more")
        need(self.bad_steps >= 1, "bad_steps", self.bad_steps, "1 or more")
        parts = (self.trainable.compressor, self.trainable.decoder, self.trainable.injection)
        need(any(parts), "trainable", "nothing", "at least one part that trains")
        self.adapter.geometry.build()
