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
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sharedcli.errors import ModelMismatchError, UnreadableError, UsageError
from sharedcli.model.adapter_config import CONFIG_FILE, AdapterConfig, base_sizes
from sharedcli.model.cross import CrossAttention
from sharedcli.model.lora import RoleLoRA

TENSOR_FILE = "adapter.safetensors"


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
