"""The adapter that a run begins with: a fresh one as the recipe plans it, or one to go on from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from sharedcli.model.adapter import Adapter, load_adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.base import Base
from sharedcli.training.adapter_plan import AdapterPlan
from sharedcli.training.recipe import Recipe

_SHAPE = tuple(one.name for one in fields(AdapterPlan) if one.name != "geometry")
"""What an adapter is made with and keeps, by its name in a recipe and in ``AdapterConfig``."""


def first_adapter(
    recipe: Recipe, folder: Path | None, base: Base, tell: Callable[[str], None]
) -> Adapter:
    """Load the adapter in ``folder`` or make one; in float32, and described as it will be.

    ``tell`` gets a sentence if the recipe plans another form or size than the folder's adapter has.

    Raises:
        UnreadableError, ModelMismatchError: the folder's adapter is broken, or another base's.
    """
    plan, parts = recipe.adapter, recipe.trainable
    abstains = parts.decoder and any(stage.draw.absent for stage in recipe.stages)
    if folder is None:
        return Adapter(_described(recipe, base, abstains), base.model).float()
    adapter = load_adapter(folder, base.model)
    asked = _described(recipe, base, abstains)
    other = [name for name in _SHAPE if getattr(asked, name) != getattr(adapter.config, name)]
    if other:
        has = ", ".join(f"{name} {getattr(adapter.config, name)}" for name in other)
        plans = ", ".join(f"{getattr(asked, name)}" for name in other)
        tell(f"going on from {folder}, which keeps {has} (the recipe has {plans})")
    kept = not (parts.compressor or parts.injection)
    if not kept:
        adapter.drop_shortcut()  # it tells what the compressor makes of text so far
    geometry, before = plan.geometry.build(), adapter.config.geometry
    if kept and geometry.slots_are_tokens:
        geometry = replace(
            geometry, exit_layer=before.exit_layer, pruning_layer=before.pruning_layer
        )
    adapter.config = replace(
        adapter.config,
        geometry=geometry,
        # what an unchanged compressor made serves the adapter that comes of it
        trees=(adapter.config.trees or adapter.digest()) if kept else "",
        abstains=abstains or adapter.config.abstains,
    )
    return adapter.float()


def _described(recipe: Recipe, base: Base, abstains: bool) -> AdapterConfig:
    plan = recipe.adapter
    return AdapterConfig(
        form=plan.form,
        injected_layers=plan.layers_of(base.layers),
        key_position_mode=plan.key_position_mode,
        geometry=plan.geometry.build(),
        compressor_rank=plan.compressor_rank,
        decoder_rank=plan.decoder_rank,
        lora_alpha=plan.lora_alpha,
        full_layers=plan.full_layers,
        slot_bias=plan.slot_bias,
        sink_tokens=plan.sink_tokens,
        summary_layer=plan.summary_layer,
        abstains=abstains,
        base={"model_id": base.identity.model_id, "weights_sha256": base.identity.weights_sha256},
    )
