"""What to say when a step does not fit into memory."""

from __future__ import annotations

from sharedcli.training.batches import Batch
from sharedcli.training.recipe import Recipe, Stage


def memory_message(stage: Stage, batch: Batch, recipe: Recipe) -> str:
    """One sentence: what did not fit, and the options that need less, gentlest first."""
    rows, length = batch.tokens.shape
    longest = max((len(context) for context in batch.contexts), default=0)
    hints = [] if recipe.checkpointing else ["--set checkpointing=true"]
    if stage.batch > 1:
        hints.append(f"--set stages.batch={stage.batch // 2}")
    if rows > stage.batch:
        fewer = max(1, stage.questions_per_context // 2)
        hints.append(f"--set stages.questions_per_context={fewer}")
    if longest > 256:
        hints.append(f"--set stages.curriculum.context_tokens={longest // 2}")
    hints.append("--quantization bnb-4bit")
    return (
        f"not enough memory for a step of {rows} x {length} running tokens over "
        f"{len(batch.contexts)} contexts of up to {longest} tokens; try {' or '.join(hints)}"
    )
