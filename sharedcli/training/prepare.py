"""Everything that a run needs before its first step: accelerator, base, data, adapter, batches."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from sharedcli.model.adapter import Adapter
from sharedcli.model.base import Base, load_base
from sharedcli.model.compressor import Compressor
from sharedcli.model.devices import cpu_has_bfloat16, resolve_device
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.training.cost import Cost
from sharedcli.training.feed import Feed
from sharedcli.training.first_adapter import first_adapter
from sharedcli.training.fused import FusedStep, fits
from sharedcli.training.heldout import HeldOut
from sharedcli.training.objective import TrainingStep
from sharedcli.training.observer import Observer
from sharedcli.training.parameters import Trained, choose_parameters
from sharedcli.training.questions import QuestionSampler
from sharedcli.training.recipe import Recipe
from sharedcli.training.recipe_files import to_plain
from sharedcli.training.samples import TextSampler
from sharedcli.training.schedule import budgets
from sharedcli.training.sources import Source, Tell, open_sources

COMPRESSOR_BATCH_TOKENS = 1 << 16
"""Tokens that the compressor reads in one pass; bounded by memory, not by the method."""


@dataclass(frozen=True)
class Job:
    """What to train, on what, and where to.

    Attributes:
        data: files, folders and patterns.
        holdout: parts of names of documents that are kept for measuring.
        output: the run's folder.
        adapter: folder of an adapter to go on from; None begins with a fresh one.
        fresh: forget what the folder holds.
    """

    recipe: Recipe
    data: tuple[str, ...]
    output: Path
    holdout: tuple[str, ...] = ()
    model: str = "default"
    revision: str | None = None
    device: str = "auto"
    attn_implementation: str = "sdpa"
    quantization: str | None = None
    offline: bool = False
    cache: Path | None = None
    adapter: Path | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Prepared:
    """A run before its first step."""

    job: Job
    accelerator: Accelerator
    base: Base
    model: SharedLLM
    trained: Trained
    step: TrainingStep
    sources: list[Source]
    feeds: list[Feed]
    heldout: HeldOut
    dtype: torch.dtype
    kept_name: str

    @property
    def cost(self) -> Cost:
        """What tokens cost."""
        return Cost.of_run(self.base.model, self.model.adapter, self.trained.compressor)


def prepare(job: Job, observer: Observer) -> Prepared:
    """Load the base, read the data, attach an adapter. Nothing is written but caches.

    Raises:
        SharedCLIError: whatever of it does not work.
    """
    from sharedcli.settings import default_cache

    budgets(job.recipe)
    cache = job.cache or default_cache()
    accelerator = _accelerator(job)
    if not accelerator.is_main_process:
        observer = Observer()  # one process speaks for all
    dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
    base = load_base(
        job.model,
        device=accelerator.device,
        dtype=dtype,
        attn_implementation=job.attn_implementation,
        quantization=job.quantization,
        revision=job.revision,
        offline=job.offline,
        cache=cache,
    )
    keep_differentiable(base.model)
    with accelerator.main_process_first():
        sources = open_sources(
            job.data,
            rules=job.recipe.data,
            holdout=job.holdout,
            tokenizer=base.tokenizer,
            tokenizer_digest=base.identity.tokenizer_sha256,
            cache=cache / "training",
            tell=observer.told,
        )
    torch.manual_seed(job.recipe.seed)
    adapter = first_adapter(job.recipe, job.adapter, base, observer.told)
    model = SharedLLM(base.model, adapter)
    trained = choose_parameters(adapter, job.recipe.trainable)
    if job.recipe.checkpointing:
        model.checkpoint_layers()
        for layer in model.base.model.layers:
            layer.training = True  # checkpoints act in training; dropout inside must not
    step = _step(job, model, trained, dtype)
    feeds = _feeds(
        job.recipe,
        sources,
        base,
        adapter,
        decoder_trains=trained.counts["decoder"] > 0,
        tell=observer.told,
    )
    heldout = _heldout(
        job.recipe,
        sources,
        base=base,
        step=step,
        accelerator=accelerator,
        observer=observer,
    )
    begun = json.dumps([to_plain(job.recipe), base.identity.to_dict(), adapter.digest()])
    return Prepared(
        job=job,
        accelerator=accelerator,
        base=base,
        model=model,
        trained=trained,
        step=step,
        sources=sources,
        feeds=feeds,
        heldout=heldout,
        dtype=dtype,
        kept_name=hashlib.sha256(begun.encode()).hexdigest()[:16],
    )


def _step(job: Job, model: SharedLLM, trained: Trained, dtype: torch.dtype) -> TrainingStep:
    compressor = Compressor(model, COMPRESSOR_BATCH_TOKENS)
    if job.recipe.fused and not job.recipe.checkpointing and fits(model):
        return FusedStep(model, compressor, trained.compressor, dtype)
    return TrainingStep(model, compressor, trained.compressor)


def keep_differentiable(model: Any) -> None:
    """Have four-bit layers take gradients on a CPU.

    In evaluation mode bitsandbytes packs their weights into a form whose product has no backward
    pass: gradients through it would be silently wrong. Reading the state unpacks what is packed;
    layers in training mode are not packed again.
    """
    packing = [m for m in model.modules() if type(m).__name__ == "Linear4bit"]
    if packing:
        model.state_dict()
    for module in packing:
        module.training = True


def _accelerator(job: Job) -> Accelerator:
    device = resolve_device(job.device)
    # of several processes each takes the GPU that its launcher names
    if device.type == "cuda" and device.index is not None and "LOCAL_RANK" not in os.environ:
        torch.cuda.set_device(device)
    on_cpu = device.type == "cpu"
    precision = job.recipe.precision
    if precision == "auto":
        half = cpu_has_bfloat16() if on_cpu else _gpu_has_bfloat16()
        precision = "bf16" if half else "fp32"
    # LoRA of a role that a batch does not use gets no gradient from it
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(
        cpu=on_cpu,
        mixed_precision="bf16" if precision == "bf16" else "no",
        kwargs_handlers=[unused],
    )


def _gpu_has_bfloat16() -> bool:
    return torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8


def _feeds(
    recipe: Recipe,
    sources: Sequence[Source],
    base: Base,
    adapter: Adapter,
    *,
    decoder_trains: bool,
    tell: Tell,
) -> list[Feed]:
    text, questions = _samplers(sources, base, held=False)
    asks = any(stage.questions for stage in recipe.stages)
    if asks and not getattr(base.tokenizer, "chat_template", None):
        tell(
            f"{base.identity.model_id} has no chat template: questions are asked as plain text, "
            "'Question: ... Answer:', as ask does"
        )
    if questions is not None and questions.too_long:
        tell(f"questions that are too long for a prompt are left out: {questions.too_long:,}")
    whole = TextSampler(sources)
    digests = ",".join(source.digest for source in sources)
    feeds = []
    for index, planned in enumerate(recipe.stages):
        stage = planned
        if not decoder_trains:  # a batch without injection would have nothing to teach
            stage = replace(planned, draw=replace(planned.draw, no_context=0.0))
        chosen = whole if stage.context_as_text else text
        name = f"{recipe.seed}/{index}/{digests}"
        feeds.append(Feed(stage, name, adapter.config.geometry, chosen, questions))
    return feeds


def _samplers(
    sources: Sequence[Source], base: Base, held: bool
) -> tuple[TextSampler | None, QuestionSampler | None]:
    """Samplers of long text and of questions; None where there is none of the kind."""

    def documents(source: Source) -> Sequence[Any]:
        return source.held if held else source.training

    long = [s for s in sources if any(not d.questions for d in documents(s))]
    asked = [s for s in sources if any(d.questions for d in documents(s))]
    text = TextSampler(long, held) if long else None
    return text, QuestionSampler(asked, base.tokenizer, held) if asked else None


def _heldout(
    recipe: Recipe,
    sources: Sequence[Source],
    *,
    base: Base,
    step: TrainingStep,
    accelerator: Accelerator,
    observer: Observer,
) -> HeldOut:
    text, questions = _samplers(sources, base, held=True)
    plan = recipe.evaluation
    geometry = step.model.config.geometry
    if text is not None and text.longest() <= plan.running_tokens:
        observer.told(
            f"held-out documents are shorter than {plan.running_tokens} tokens: not measured"
        )
        text = None
    if all(stage.questions == 0 for stage in recipe.stages):
        questions = None
    if text is None and questions is None and plan.samples:
        observer.told("no held-out documents: nothing is measured while training")
    return HeldOut(
        step,
        plan=plan,
        geometry=geometry,
        seed=recipe.seed,
        text=text,
        questions=questions,
        autocast=accelerator.autocast,
    )
