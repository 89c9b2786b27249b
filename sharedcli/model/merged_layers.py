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

from sharedcli.model.adapter_config import base_sizes
from sharedcli.model.lora import PROJECTIONS, FullRank, LowRank
from sharedcli.model.weight_formats import Matrix, Updated, WeightFormat, holds, pack

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

    def qkv_rows(self) -> Tensor:
        """The same for queries, keys and values in one matrix, [H D + 2 K D]."""
        start, size = self.query_size, self.key_size
        values = torch.arange(size)
        return torch.cat((self.query_rows(), start + self.key_rows(), start + size + values))

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
        self._rows = self.shape.qkv_rows()
        self._output_columns = self.shape.output_columns()

    def layer(self, index: int, kind: WeightFormat, work: torch.dtype) -> Layer:
        """Layer ``index``, its matrices in the format ``kind``, its norms in ``work``."""
        source: Any = self._model.base.model.layers[index]
        qkv = self._rows
        return Layer(
            attention_norm=scaled_norm(source.input_layernorm.weight, work),
            mlp_norm=scaled_norm(source.post_attention_layernorm.weight, work),
            head_norm=self._head_norm(source.self_attn, work),
            qkv=self._matrix(kind, index, ("q_proj", "k_proj", "v_proj"), rows=qkv),
            output=self._matrix(kind, index, ("o_proj",), columns=self._output_columns),
            gate_up=self._matrix(kind, index, ("gate_proj", "up_proj")),
            down=self._matrix(kind, index, ("down_proj",)),
        )

    def four_bits_hold(self) -> bool:
        """Whether four bits hold the base's weights; the first and the last layer speak for all."""
        layers = self._model.base.model.layers
        updates = self._model.adapter.decoder.updates.values()
        return not any(isinstance(update, FullRank) for update in updates) and all(
            holds(_linear(layer, name).weight)
            for layer in (layers[0], layers[-1])
            for name in ("k_proj", "down_proj")
        )

    def _matrix(
        self,
        kind: WeightFormat,
        index: int,
        names: tuple[str, ...],
        rows: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> Matrix:
        """Projections of the same input as one matrix, its rows or columns taken in an order."""
        linears = [_linear(self._model.base.model.layers[index], name) for name in names]
        all_updates = self._model.adapter.decoder.updates
        updates = [all_updates[key] for name in names if (key := f"{index}_{name}") in all_updates]
        beside = kind == "int4" and bool(updates) and isinstance(updates[0], LowRank)
        weights = [linear.weight for linear in linears]
        if updates and not beside:
            weights = [_add(*pair) for pair in zip(weights, updates, strict=True)]
        weight = torch.cat(weights) if len(weights) > 1 else weights[0]
        bias = None if linears[0].bias is None else torch.cat([one.bias for one in linears])
        if rows is not None:
            weight, bias = weight[rows], None if bias is None else bias[rows]
        if columns is not None:
            weight = weight[:, columns]
        if not beside:
            return pack(kind, weight, bias)
        down, up = _low_rank(updates)
        up = up if rows is None else up[rows]
        down = down if columns is None else down[:, columns]
        return Updated(kind, weight, bias, down, up)

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


def _linear(layer: nn.Module, name: str) -> Any:
    part = "self_attn" if name in PROJECTIONS[:4] else "mlp"
    return layer.get_submodule(f"{part}.{name}")


def _add(weight: Tensor, update: nn.Module) -> Tensor:
    """``weight`` with an update merged in."""
    if isinstance(update, LowRank):
        up, down = update.up * update.scale, update.down
        return torch.addmm(weight, up.to(weight.dtype), down.to(weight.dtype))
    assert isinstance(update, FullRank)
    return weight + update.weight.to(weight.dtype)


def _low_rank(updates: list[Any]) -> tuple[Tensor, Tensor]:
    """Updates of the same input as one: down [r, in] and up [out, r]."""
    down = torch.cat([update.down for update in updates])
    up = torch.block_diag(*[update.up * update.scale for update in updates])
    return down, up


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
