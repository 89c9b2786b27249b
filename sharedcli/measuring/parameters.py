"""How many parameters a token meets on its way through a base with an adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import base_sizes


@dataclass(frozen=True)
class Parameters:
    """Counts and sizes; quantised weights count unpacked.

    Attributes:
        layer: of one layer's matrices.
        layers: L.
        head: of the language-model head.
        injected: M.
        compressor_update, decoder_update: of the low-rank updates of each role.
        cross: of the cross-attentions of all injected layers; 0 in the joint form.
        hidden: width of attention, heads x head size.
        cached: values that a layer keeps of a token: keys and values.
        width: of the residual stream, E.
        inner: width of the MLP.
    """

    layer: int
    layers: int
    head: int
    injected: int
    compressor_update: int
    decoder_update: int
    cross: int
    hidden: int
    cached: int
    width: int
    inner: int

    @classmethod
    def of(cls, config: Any, adapter: Adapter) -> Parameters:
        """Count them for a base's configuration and an adapter."""
        sizes = base_sizes(config)
        width, inner, head_dim = (
            sizes[k] for k in ("hidden_size", "intermediate_size", "head_dim")
        )
        heads, kv_heads = sizes["heads"], sizes["kv_heads"]
        return cls(
            layer=width * head_dim * 2 * (heads + kv_heads) + 3 * width * inner,
            layers=sizes["layers"],
            head=width * sizes["vocabulary"],
            injected=adapter.config.injected_layers,
            compressor_update=sum(p.numel() for p in adapter.compressor.parameters()),
            decoder_update=sum(p.numel() for p in adapter.decoder.parameters()),
            cross=sum(p.numel() for p in adapter.cross.parameters()),
            hidden=heads * head_dim,
            cached=2 * kv_heads * head_dim,
            width=width,
            inner=inner,
        )
