"""``SharedLLM``: one base model in two roles, compressor and decoder.

- Compressor ("lower model"): embedding and the first M layers, with early exit. It yields each
  layer's keys and values, unrotated, and the states that search vectors are made of.
- Decoder ("upper model"): the whole base over running text, with slots injected into layers < M.

Both roles run the base's own layers; the adapter hangs on hooks (``lora.py``, ``cross.py``) and on
the attention interface (``attention.py``). With neither role nor injection named, the base is
bit-equal to itself.

Method: SharedLLM, arXiv 2410.19318 and 2603.04759.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter, AdapterConfig
from sharedcli.model.attention import PREFIX, InjectedKV, register
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.cross import CrossHooks
from sharedcli.model.lora import Role, RoleSwitch
from sharedcli.model.rotary import Rotary


@dataclass(frozen=True)
class Encoded:
    """What the compressor saw of a batch of token sequences.

    ``keys`` (unrotated) and ``values``: [M, B, K, T, D]; ``states``: [B, T, E], the hidden states
    after ``summary_layer`` layers.
    """

    keys: Tensor
    values: Tensor
    states: Tensor


class _Collector:
    """Stands in for a key/value cache: keeps what each layer computes, returns it unchanged."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        self.keys.append(key)
        self.values.append(value)
        return key, value


class SharedLLM(nn.Module):
    """A Llama-style base with an adapter attached; ``base`` is any ``*ForCausalLM`` of that style.

    The base's parameters are frozen here and held once, whatever the number of roles.
    """

    def __init__(self, base: Any, adapter: Adapter) -> None:
        super().__init__()
        self.base = base
        self.adapter = adapter
        self.config: AdapterConfig = adapter.config
        self.rotary = Rotary.of(base.model)
        base.requires_grad_(False)
        adapter.to(base.device)
        register()
        stock = str(base.config._attn_implementation).removeprefix(PREFIX)
        base.set_attn_implementation(PREFIX + stock)
        layers = base.model.layers
        roles = {"compressor": adapter.compressor, "decoder": adapter.decoder}
        self.roles = RoleSwitch(layers, roles)
        self._cross = CrossHooks(layers, adapter.cross)

    @property
    def device(self) -> torch.device:
        """Where the base's embedding lives."""
        return self.base.device  # type: ignore[no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        """The base's floating-point type."""
        return self.base.dtype  # type: ignore[no-any-return]

    @property
    def injected_layers(self) -> int:
        """M."""
        return self.config.injected_layers

    def encode(self, tokens: Tensor, layers: int | None = None) -> Encoded:
        """Run the compressor over ``tokens`` [B, T], each sequence from position 0.

        Sequences may be padded on the right: attention is causal, so padding changes nothing
        before it. ``layers`` stops even earlier than M (search vectors need only the first).
        """
        backbone = self.base.model
        depth = self.injected_layers if layers is None else layers
        states = backbone.embed_tokens(tokens.to(self.device))
        positions = torch.arange(tokens.shape[1], device=states.device)[None]
        angles = backbone.rotary_emb(states, positions)
        collector = _Collector()
        summary = states
        for index in range(depth):
            states = backbone.layers[index](
                states,
                attention_mask=None,
                position_ids=positions,
                position_embeddings=angles,
                past_key_values=collector,
                role="compressor",
            )
            if index + 1 == self.config.summary_layer:
                summary = states
        if not collector.keys:
            empty = states.new_zeros(0, states.shape[0], 0, states.shape[1], 0)
            return Encoded(empty, empty, summary)
        keys = self.rotary.unrotate(torch.stack(collector.keys), positions[0])
        return Encoded(keys, torch.stack(collector.values), summary)

    def prepare(self, slots: CompressedKV | None) -> InjectedKV | None:
        """Rotate slots to their places, once for a whole answer. None where nothing is injected."""
        if slots is None or not slots.slots or not slots.layers:
            return None
        config, adapter = self.config, self.adapter
        if slots.layers != self.injected_layers:
            raise UsageError(
                f"these slots are for {slots.layers} injected layers, the adapter has "
                f"{self.injected_layers}; index the document again"
            )
        slots = slots.to(self.device, self.dtype)
        places, end = slots.positions(config.key_position_mode)
        keys = self.rotary.rotate(slots.keys, places[:, None, :])
        joint = config.form == "joint"
        return InjectedKV(
            keys=tuple(keys),
            values=tuple(slots.values),
            valid=slots.valid,
            joint=joint,
            start=end if joint else torch.zeros_like(end),
            query_angles=None if joint else self.rotary.angles(end[:, None, None]),
            bias=None if adapter.slot_bias is None else tuple(adapter.slot_bias),
        )

    def forward(
        self,
        tokens: Tensor,
        injected: InjectedKV | None = None,
        *,
        past: Any = None,
        seen: int = 0,
        attention_mask: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        role: Role | None = "decoder",
    ) -> Tensor:
        """Return next-token logits [B, T, V] of running text under injection.

        Args:
            tokens: running text [B, T].
            injected: from ``prepare``; None runs the decoder on the running text alone.
            past: a ``transformers`` cache of the running text so far, extended in place.
            seen: tokens that ``past`` holds.
            attention_mask: [B, seen + T] where the batch is padded.
            logits_to_keep: as in ``transformers``: last so many positions, 0 for all.
            role: "decoder", or None for the plain base without its updates.
        """
        return self.base(  # type: ignore[no-any-return]
            input_ids=tokens,
            position_ids=self._positions(tokens, injected, seen),
            attention_mask=attention_mask,
            past_key_values=past,
            use_cache=past is not None,
            logits_to_keep=logits_to_keep,
            injected=injected,
            role=role,
        ).logits

    def _positions(self, tokens: Tensor, injected: InjectedKV | None, seen: int) -> Tensor:
        places = torch.arange(seen, seen + tokens.shape[1], device=tokens.device)[None]
        if injected is None:
            return places
        return places + injected.start.to(tokens.device)[:, None]

    def detach_hooks(self) -> None:
        """Give the base back as it was."""
        self.roles.remove()
        self._cross.remove()
        stock = str(self.base.config._attn_implementation).removeprefix(PREFIX)
        self.base.set_attn_implementation(stock)


def pad_right(sequences: Sequence[Tensor]) -> Tensor:
    """Stack 1-D token tensors to [B, T], zeros behind the shorter ones."""
    return nn.utils.rnn.pad_sequence(list(sequences), batch_first=True)
