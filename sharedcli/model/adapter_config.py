"""How a base is adapted: what ``adapter.json`` says, and what of it fits which base."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from sharedcli.errors import UsageError
from sharedcli.model.compressed import KeyPositionMode
from sharedcli.tree.geometry import TreeGeometry

Form = Literal["joint", "cross"]
FORMAT = 1
CONFIG_FILE = "adapter.json"
MAX_RANK = 1024
MAX_CONFIG_CHARS = 1 << 20


@dataclass(frozen=True)
class AdapterConfig:
    """How a base is adapted.

    Attributes:
        form: "joint" (slots join self-attention) or "cross" (the paper's cross-attention).
        injected_layers: M, the number of lowest layers that compress and are injected.
        key_position_mode: where slot keys stand; see ``model/compressed.py``.
        geometry: the tree that the adapter was trained for, the default for indexing.
        compressor_rank, decoder_rank: LoRA rank of each role, 0 for none.
        lora_alpha: LoRA scale times rank.
        full_layers: updates of the lowest M layers have full rank in both roles: full fine-tuning.
        slot_bias: learn a logit bias per injected layer and head (joint only).
        sink_tokens: first tokens of the running text that see no slots, so that they stay the
            attention sink that the base knows (joint only; see ``model/attention.py``).
        summary_layer: layers that a node's search vector has gone through (the paper: 1).
        base: what the adapter fits: model id and sizes.
        steps: training steps; 0 means untrained.
        tokens: tokens seen in training.
        trees: digest of the adapter whose compressor this one has unchanged, so that trees made by
            that one serve this one; "" for its own trees.
        shortcut_start, shortcut_end: layers from the first to below the second have a shortcut, for
            tokens whose exit layer is the first; 0 and 0 for none.
        abstains: the decoder was taught to say where what it is shown does not answer a question
            (``answer/verdict.py``).
        format: version of this description.

    Raises:
        UsageError: a value that makes no sense.
    """

    form: Form = "joint"
    injected_layers: int = 12
    key_position_mode: KeyPositionMode = "chunk_only"
    geometry: TreeGeometry = field(default_factory=TreeGeometry)
    compressor_rank: int = 0
    decoder_rank: int = 0
    lora_alpha: float = 32.0
    full_layers: bool = False
    slot_bias: bool = False
    sink_tokens: int = 1
    summary_layer: int = 1
    base: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    tokens: int = 0
    trees: str = ""
    abstains: bool = False
    shortcut_start: int = 0
    shortcut_end: int = 0
    format: int = FORMAT

    def __post_init__(self) -> None:
        for name, choices in (("form", Form), ("key_position_mode", KeyPositionMode)):
            if getattr(self, name) not in get_args(choices):
                raise UsageError(
                    f"adapter {name} {getattr(self, name)!r} is unknown; "
                    f"use one of {', '.join(get_args(choices))}"
                )
        for name in (
            "injected_layers",
            "sink_tokens",
            "summary_layer",
            "steps",
            "tokens",
            "shortcut_start",
        ):
            if getattr(self, name) < 0:
                raise UsageError(f"adapter {name} must be 0 or more, not {getattr(self, name)}")
        for name in ("compressor_rank", "decoder_rank"):
            if not 0 <= getattr(self, name) <= MAX_RANK:
                raise UsageError(
                    f"adapter {name} must be 0 to {MAX_RANK}, not {getattr(self, name)}"
                )
        if not self.shortcut_start <= self.shortcut_end <= self.injected_layers:
            raise UsageError(
                f"a shortcut of layers {self.shortcut_start} to {self.shortcut_end} does not fit "
                f"{self.injected_layers} injected layers; fit it again"
            )
        if not math.isfinite(self.lora_alpha):
            raise UsageError(f"adapter lora_alpha must be a finite number, not {self.lora_alpha}")

    @property
    def trained(self) -> bool:
        """Whether injection can be expected to help."""
        return self.steps > 0

    def has_shortcut(self, exit_layer: int, pruning_layer: int) -> bool:
        """Whether the shortcut serves tokens that leave there and are seen below the other."""
        start, end = self.shortcut_start, self.shortcut_end
        return start < end and exit_layer == start and pruning_layer <= end

    def to_json(self) -> str:
        """Stable text form."""
        values = asdict(self) | {"geometry": self.geometry.to_dict()}
        for name in ("trees", "abstains", "shortcut_start", "shortcut_end"):
            if not values[name]:  # as before there was such a key: digests stay what they were
                del values[name]
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AdapterConfig:
        """Read the text form.

        Raises:
            UsageError: a newer format, or a value that makes no sense.
            ValueError: not JSON, not an adapter's, or values of another type.
        """
        if len(text) > MAX_CONFIG_CHARS:
            raise ValueError(f"{len(text)} characters are too many for {CONFIG_FILE}")
        try:
            values = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        if _typed(cls, values).get("format", 0) > FORMAT:
            raise UsageError(
                f"adapter format {values['format']} is newer than this sharedcli knows ({FORMAT}); "
                "upgrade sharedcli"
            )
        if "geometry" in values:
            values["geometry"] = TreeGeometry(**_typed(TreeGeometry, values["geometry"]))
        return cls(**values)


_JSON_TYPES: dict[type, tuple[type, ...]] = {float: (int, float), TreeGeometry: (dict,)}


def _typed(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Check that ``values`` are fields of the dataclass ``cls``, each of its default's type."""
    known = {entry.name: entry for entry in fields(cls)}
    if unknown := set(values) - set(known):
        raise ValueError(f"unknown keys {sorted(unknown)}")
    for name, value in values.items():
        entry = known[name]
        default = entry.default_factory() if callable(entry.default_factory) else entry.default
        wanted = _JSON_TYPES.get(type(default), (type(default),))
        if type(value) not in wanted:  # exactly: True is no number
            raise ValueError(
                f"{name} is {json.dumps(value)[:40]}, not of type {wanted[-1].__name__}"
            )
    return values


def base_sizes(config: Any) -> dict[str, Any]:
    """The sizes that an adapter must agree on with its base."""
    heads = config.num_attention_heads
    return {
        "hidden_size": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads,
        "intermediate_size": config.intermediate_size,
        "vocabulary": config.vocab_size,
    }
