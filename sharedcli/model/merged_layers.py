"""The base's layers for decoding: the decoder's updates merged in, matrices fused, rows reordered.

    layer: norm -> qkv -> rotation -> attention -> output -> norm -> gate_up -> down

Notable choices:
- Query, key and value are one matrix, gate and up another: four products a layer instead of seven,
  and none for the low-rank updates.
- Rows of query and key are reordered so that the two halves that a rotation turns stand side by
  side: rotating is one complex multiplication. Scores do not change, since both are reordered.
- Heads are ordered (place in group, group), so that queries and the attention's results reach
  their places without copies. The output matrix's columns follow.
- The base's own weights stay as they are: the compressor needs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharedcli.model.adapter import base_sizes
from sharedcli.model.lora import PROJECTIONS, FullRank, LowRank
from sharedcli.model.weight_formats import Matrix, WeightFormat, pack

if TYPE_CHECKING:
    from sharedcli.model.sharedllm import SharedLLM

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
_STATIC_ROTATIONS = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Shape:
    """H = K G query heads in K groups, of D dimensions each."""

    groups: int
    per_group: int
    head_dim: int

    @classmethod
    def of(cls, config: Any) -> Shape:
        """The shape that a base's configuration gives."""
        sizes = base_sizes(config)
        return cls(sizes["kv_heads"], sizes["heads"] // sizes["kv_heads"], sizes["head_dim"])

    @property
    def query_size(self) -> int:
        """H D."""
        return self.groups * self.per_group * self.head_dim

    @property
    def key_size(self) -> int:
        """K D."""
        return self.groups * self.head_dim

    def query_rows(self) -> Tensor:
        """Where each row of the reordered query matrix comes from, [H D]."""
        rows = torch.arange(self.query_size).view(self.groups, self.per_group, 2, -1)
        return rows.permute(1, 0, 3, 2).reshape(-1)

    def key_rows(self) -> Tensor:
        """The same for keys, [K D]."""
        return torch.arange(self.key_size).view(self.groups, 2, -1).transpose(1, 2).reshape(-1)

    def output_columns(self) -> Tensor:
        """Where each column of the reordered output matrix comes from, [H D]."""
        rows = torch.arange(self.query_size).view(self.groups, self.per_group, -1)
        return rows.transpose(0, 1).reshape(-1)


@dataclass(frozen=True)
class Layer:
    """What one layer computes with.

    Attributes:
        attention_norm, mlp_norm: [E], times the square root of E (see ``packed_decoder.rms_norm``).
        head_norm: [K G + K, D], the norms of Qwen3's queries and keys likewise; else None.
        qkv: E -> H D + 2 K D.
        output: H D -> E.
        gate_up: E -> 2 F.
        down: F -> E.
    """

    attention_norm: Tensor
    mlp_norm: Tensor
    head_norm: Tensor | None
    qkv: Matrix
    output: Matrix
    gate_up: Matrix
    down: Matrix


class MergedLayers:
    """Makes ``Layer``s of a base with the decoder's updates of its adapter."""

    def __init__(self, model: SharedLLM) -> None:
        self._model = model
        self.shape = Shape.of(model.base.config)
        self._query_rows = self.shape.query_rows()
        self._key_rows = self.shape.key_rows()
        self._output_columns = self.shape.output_columns()

    def layer(self, index: int, kind: WeightFormat, work: torch.dtype) -> Layer:
        """Layer ``index``, its matrices in the format ``kind``, its norms in ``work``."""
        source: Any = self._model.base.model.layers[index]
        query, key, value, output, gate, up, down = (
            self._merged(index, source, name) for name in PROJECTIONS
        )
        qkv = torch.cat((query[0][self._query_rows], key[0][self._key_rows], value[0]))
        bias = None
        if query[1] is not None and key[1] is not None and value[1] is not None:
            bias = torch.cat((query[1][self._query_rows], key[1][self._key_rows], value[1]))
        gate_up_bias = None
        if gate[1] is not None and up[1] is not None:
            gate_up_bias = torch.cat((gate[1], up[1]))
        return Layer(
            attention_norm=scaled_norm(source.input_layernorm.weight, work),
            mlp_norm=scaled_norm(source.post_attention_layernorm.weight, work),
            head_norm=self._head_norm(source.self_attn, work),
            qkv=pack(kind, qkv, bias),
            output=pack(kind, output[0][:, self._output_columns], output[1]),
            gate_up=pack(kind, torch.cat((gate[0], up[0])), gate_up_bias),
            down=pack(kind, *down),
        )

    def _merged(self, index: int, layer: nn.Module, name: str) -> tuple[Tensor, Tensor | None]:
        """Weight [out, in] and bias of one projection with its update."""
        part = "self_attn" if name in PROJECTIONS[:4] else "mlp"
        linear: Any = layer.get_submodule(f"{part}.{name}")
        weight: Tensor = linear.weight
        updates = self._model.adapter.decoder.updates
        update = updates[key] if (key := f"{index}_{name}") in updates else None
        if isinstance(update, LowRank):
            wide, narrow = update.up * update.scale, update.down
            weight = torch.addmm(weight, wide.to(weight.dtype), narrow.to(weight.dtype))
        elif isinstance(update, FullRank):
            weight = weight + update.weight.to(weight.dtype)
        return weight, linear.bias

    def _head_norm(self, attention: Any, work: torch.dtype) -> Tensor | None:
        if not hasattr(attention, "q_norm"):
            return None
        shape = self.shape
        halves = torch.arange(shape.head_dim).view(2, -1).T.reshape(-1)
        query = scaled_norm(attention.q_norm.weight, work)[halves]
        key = scaled_norm(attention.k_norm.weight, work)[halves]
        return torch.cat(
            (
                query.expand(shape.groups * shape.per_group, -1),
                key.expand(shape.groups, -1),
            )
        )


def scaled_norm(weight: Tensor, work: torch.dtype) -> Tensor:
    """A norm's weight [E] times the square root of E: what is left of the mean in the norm."""
    return weight.to(work) * math.sqrt(weight.shape[0])


def why_not(model: SharedLLM) -> str:
    """Why a model cannot be decoded with merged layers; "" if it can."""
    config, backbone = model.base.config, model.base.model
    if model.device.type != "cpu":
        return f"the model is on {model.device.type}"
    if config.model_type not in ARCHITECTURES or config.hidden_act != "silu":
        return f"{config.model_type} models are not known well enough"
    if model.dtype == torch.float16:
        return "float16 is slow on CPUs"
    rotary = backbone.rotary_emb
    if getattr(rotary, "rope_type", "default") not in _STATIC_ROTATIONS:
        return f"rotations of the kind {rotary.rope_type} change with the length"
    if 2 * rotary.inv_freq.shape[0] != Shape.of(config).head_dim:
        return "a part of each head is not rotated"
    for layer in backbone.layers:
        attention = layer.self_attn
        window = getattr(attention, "sliding_window", getattr(config, "sliding_window", None))
        if window is not None and window < config.max_position_embeddings:
            return f"a layer sees a window of {window} tokens"
        parts = [layer.get_submodule(part) for part in ("self_attn", "mlp")]
        if not all(
            type(module) is nn.Linear
            for part in parts
            for name, module in part.named_children()
            if name in PROJECTIONS
        ):
            return "the weights are quantised"
    return ""
