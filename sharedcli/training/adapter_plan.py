"""What a recipe says of the adapter: its tree, its form and sizes, and what of it trains."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from sharedcli.training.requirement import need
from sharedcli.tree.geometry import Levels, SlotChoice, TreeGeometry


@dataclass(frozen=True)
class GeometryPlan:
    """The tree that the adapter is made for; see ``tree.geometry.TreeGeometry``."""

    chunk_tokens: int = 1024
    depth: int = 3
    slots_per_node: int = 32
    levels: Levels = "nested"
    slot_choice: SlotChoice = "last"
    lead_tokens: int = 0
    stored_depth: int = 0

    def build(self) -> TreeGeometry:
        """The geometry itself, checked."""
        return TreeGeometry(**asdict(self))


@dataclass(frozen=True)
class AdapterPlan:
    """What is added to the base; see ``model.adapter.AdapterConfig``.

    Attributes:
        injected_layers: M; a number below 1 is a share of the base's layers.
        full_layers: full fine-tuning of the lowest M layers' projections in both roles, stored as
            differences (as large as those layers); ranks then hold for the layers above.
    """

    form: Literal["joint", "cross"] = "joint"
    injected_layers: float = 0.4
    key_position_mode: Literal[
        "chunk_only", "local_plus_chunk", "local_only", "slot_order", "document"
    ] = "chunk_only"
    compressor_rank: int = 16
    decoder_rank: int = 16
    lora_alpha: float = 32.0
    full_layers: bool = False
    slot_bias: bool = False
    sink_tokens: int = 1
    summary_layer: int = 1
    geometry: GeometryPlan = field(default_factory=GeometryPlan)

    def __post_init__(self) -> None:
        need(self.injected_layers > 0, "adapter.injected_layers", self.injected_layers, "above 0")
        whole = self.injected_layers < 1 or float(self.injected_layers).is_integer()
        need(whole, "adapter.injected_layers", self.injected_layers, "whole, or a share below 1")
        for name in ("compressor_rank", "decoder_rank"):
            need(getattr(self, name) >= 0, f"adapter.{name}", getattr(self, name), "0 or more")

    def layers_of(self, base_layers: int) -> int:
        """M for a base of ``base_layers``."""
        if self.injected_layers < 1:
            return max(1, round(self.injected_layers * base_layers))
        return int(self.injected_layers)


@dataclass(frozen=True)
class Trainable:
    """What trains: the compressor's LoRA, the decoder's LoRA, the injection's own parameters.

    The injection's are the cross-attentions (form "cross"), slot biases and pooling queries.
    """

    compressor: bool = True
    decoder: bool = True
    injection: bool = True
