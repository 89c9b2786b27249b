"""What training adds to a base: low-rank updates for each role and the injection's parameters.

``model = base + adapter``. Every new parameter lives here, so "what trains" has one place:

- ``compressor``, ``decoder``: LoRA of each role (``model/lora.py``);
- ``cross``: the M cross-attentions, where the form is "cross" (``model/cross.py``);
- ``slot_bias``: [M, H], added to slot logits, where the form is "joint" and the bias is on;
- ``pool_query``: [M, K, D], weighs the tokens of a slot's window, where slots are pooled;
- ``shortcut_weight``, ``shortcut_bias``: keys and values that tokens which leave the compressor
  early would have had (``training/shortcut.py``); fitted, not trained.

Everything starts such that nothing changes: LoRA's second matrix, gates and biases at zero. A joint
injection still feeds untrained slots to the softmax, so ``trained`` tells whether to use it.

On disk an adapter is a folder with ``adapter.json`` and ``adapter.safetensors``.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sharedcli.errors import ModelMismatchError, UnreadableError, UsageError
from sharedcli.model.compressed import KeyPositionMode
from sharedcli.model.cross import CrossAttention
from sharedcli.model.lora import RoleLoRA
from sharedcli.tree.geometry import TreeGeometry

Form = Literal["joint", "cross"]
FORMAT = 1
CONFIG_FILE, TENSOR_FILE = "adapter.json", "adapter.safetensors"
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


class Adapter(nn.Module):
    """The new parameters for one base, not yet attached to it (``SharedLLM`` does that)."""

    def __init__(self, config: AdapterConfig, base: Any) -> None:
        super().__init__()
        sizes = base_sizes(base.config)
        if not 0 <= config.injected_layers <= sizes["layers"]:
            raise UsageError(
                f"cannot inject {config.injected_layers} layers into a base of {sizes['layers']}; "
                f"use 0 to {sizes['layers']}"
            )
        if config.summary_layer > sizes["layers"]:
            raise UsageError(
                f"search vectors after layer {config.summary_layer} do not exist in a base of "
                f"{sizes['layers']} layers; use 1"
            )
        for name, value in config.base.items():
            if name in sizes and sizes[name] != value:
                raise ModelMismatchError(
                    f"the adapter was made for a base with {name} {value}, this one has "
                    f"{sizes[name]}; use the base it was trained on, or train an adapter for this"
                )
        self.config = replace(config, base={**sizes, **config.base})
        layers, injected = base.model.layers, config.injected_layers
        scale = config.lora_alpha / max(1, config.compressor_rank)
        full = injected if config.full_layers else 0
        self.compressor = RoleLoRA(layers, injected, config.compressor_rank, scale, full=full)
        scale = config.lora_alpha / max(1, config.decoder_rank)
        self.decoder = RoleLoRA(layers, len(layers), config.decoder_rank, scale, full=full)
        self.cross = nn.ModuleList(
            CrossAttention(layers[index], sizes["heads"], sizes["head_dim"])
            for index in range(injected if config.form == "cross" else 0)
        )
        bias = config.slot_bias and config.form == "joint"
        self.slot_bias = nn.Parameter(torch.zeros(injected, sizes["heads"])) if bias else None
        pooled = config.geometry.slot_choice == "pooled"
        shape = (injected, sizes["kv_heads"], sizes["head_dim"])
        self.pool_query = nn.Parameter(torch.zeros(shape)) if pooled else None
        self.shortcut_weight: Tensor | None
        self.shortcut_bias: Tensor | None
        rows = (
            config.shortcut_end - config.shortcut_start,
            2 * sizes["kv_heads"] * sizes["head_dim"],
        )
        weight = torch.zeros(*rows, sizes["hidden_size"]) if rows[0] else None
        # buffers: no optimiser is to reach them
        self.register_buffer("shortcut_weight", weight)
        self.register_buffer("shortcut_bias", torch.zeros(rows) if rows[0] else None)

    def drop_shortcut(self) -> None:
        """Forget the shortcut: it fits one compressor."""
        self.config = replace(self.config, shortcut_start=0, shortcut_end=0)
        self.shortcut_weight = self.shortcut_bias = None

    def shortcut_of(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Weight [2 K D, E] and bias [2 K D] of a layer's shortcut, or None."""
        place = layer - self.config.shortcut_start
        if self.shortcut_weight is None or self.shortcut_bias is None:
            return None
        if not 0 <= place < len(self.shortcut_weight):
            return None
        weight = self.shortcut_weight[place]
        exact = torch.promote_types(torch.float32, weight.dtype)
        return weight.to(exact), self.shortcut_bias[place]

    def save(self, folder: Path, dtype: torch.dtype | None = None) -> None:
        """Write ``adapter.json`` and ``adapter.safetensors`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: tensor.detach().to("cpu", dtype or tensor.dtype).contiguous()
            for name, tensor in self.state_dict().items()
        }
        parts = {name: folder / f"{name}.part" for name in (TENSOR_FILE, CONFIG_FILE)}
        save_file(tensors, parts[TENSOR_FILE])
        parts[CONFIG_FILE].write_text(self.config.to_json(), encoding="utf-8")
        for name, part in parts.items():  # both complete before either is seen
            part.replace(folder / name)

    def digest(self) -> str:
        """sha256 over configuration and parameters, as they are now."""
        digest = hashlib.sha256(self.config.to_json().encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are numbers: one that is not makes the sum none (no float64 overflows)."""
    return math.isfinite(float(tensor.sum(dtype=torch.float64)))


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def load_adapter(folder: Path, base: Any) -> Adapter:
    """Read an adapter for ``base``.

    Raises:
        UnreadableError: missing or broken files.
        ModelMismatchError: the adapter was made for a base of other sizes.
    """
    try:
        text = (folder / CONFIG_FILE).read_text(encoding="utf-8")
        config = AdapterConfig.from_json(text)
        tensors = load_file(folder / TENSOR_FILE)
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise UnreadableError(
            f"cannot read the adapter in {folder}: {error}; an adapter is a folder with "
            f"{CONFIG_FILE} and {TENSOR_FILE}, as written by `sharedcli train`"
        ) from error
    from transformers.initialization import no_init_weights

    with no_init_weights():  # all values are about to be loaded
        adapter = Adapter(config, base)
    expected = {name: tensor.shape for name, tensor in adapter.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise UnreadableError(
            f"the adapter in {folder} does not hold what its {CONFIG_FILE} describes "
            f"(first difference: {odd}); copy or train it again"
        )
    if odd_values := [name for name, tensor in tensors.items() if not is_finite(tensor)]:
        raise UnreadableError(
            f"the adapter in {folder} is damaged: {odd_values[0]} holds what is no number; "
            "copy or train it again"
        )
    adapter.load_state_dict(tensors)
    return adapter
