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
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sharedcli.errors import UsageError
from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig, base_sizes
from sharedcli.model.attention import attach, detach
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.cross import CrossHooks
from sharedcli.model.injected import InjectedKV, KVCollector, LayerCall, Role
from sharedcli.model.lora import RoleSwitch
from sharedcli.model.rotary import Rotary
from sharedcli.model.sliding_window import check_window

if TYPE_CHECKING:
    from sharedcli.model.packed_decoder import PackedDecoder


@dataclass(frozen=True)
class Encoded:
    """What the compressor saw of a batch of token sequences.

    ``keys`` (unrotated) and ``values``: [M, B, K, T, D]; ``states``: [B, T, E], the hidden states
    after ``summary_layer`` layers. ``kept``: offsets [S] of the tokens whose keys and values are
    there, in ascending order, with S in place of T; None for all.
    """

    keys: Tensor
    values: Tensor
    states: Tensor
    kept: Tensor | None = None


class SharedLLM(nn.Module):
    """A Llama-style base with an adapter attached; ``base`` is any ``*ForCausalLM`` of that style.

    The base's parameters are frozen here and held once, whatever the number of roles. Several
    adapters can be attached to one base at the same time; each acts in its own calls only.

    Raises:
        UsageError: the base's attention or rotation is of a kind that slots cannot join.
    """

    def __init__(self, base: Any, adapter: Adapter) -> None:
        super().__init__()
        self.base = base
        self.adapter = adapter
        self.config: AdapterConfig = adapter.config
        self.rotary = Rotary.of(base.model)
        base.requires_grad_(False)
        adapter.to(base.device)
        attach(base)
        base._sharedllm_attached = getattr(base, "_sharedllm_attached", 0) + 1
        layers = base.model.layers
        roles = {"compressor": adapter.compressor, "decoder": adapter.decoder}
        self._owner = object()
        self.roles = RoleSwitch(layers, roles, self._owner)
        self._cross = CrossHooks(layers, adapter.cross, self._owner)
        self.packed: dict[tuple[str, int], PackedDecoder] = {}
        self._check_rotation()

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

    @property
    def slot_room(self) -> int:
        """Positions that slots in their own order take at most: the rest is for running text."""
        return int(self.base.config.max_position_embeddings) * 3 // 4

    def encode(self, tokens: Tensor, layers: int | None = None) -> Encoded:
        """Run the compressor over ``tokens`` [B, T], each sequence from position 0.

        Sequences may be padded on the right: attention is causal, so padding changes nothing
        before it. ``layers`` stops even earlier than M (search vectors need only the first).
        """
        depth = self.injected_layers if layers is None else layers
        collector = KVCollector(depth)
        call = LayerCall(self._owner, "compressor", collect=collector)
        summary = self._shallow(tokens, max(depth, self.config.summary_layer), call)
        kept = collector.collected()
        if not kept:
            none = self._no_slots(tokens.shape)
            return Encoded(none, none, summary)
        keys = torch.stack([key for key, _ in kept])
        keys = self.rotary.unrotate(keys, torch.arange(keys.shape[3], device=keys.device))
        return Encoded(keys, torch.stack([value for _, value in kept]), summary)

    def first_states(self, tokens: Tensor) -> Tensor:
        """The decoder's states [B, T, E] after ``summary_layer`` layers, nothing injected."""
        return self._shallow(tokens, self.config.summary_layer, LayerCall(self._owner, "decoder"))

    def _shallow(self, tokens: Tensor, layers: int, call: LayerCall) -> Tensor:
        """Run the lowest ``layers`` layers; return the states after ``summary_layer`` of them."""
        check_window(self.base, layers, tokens.shape[1])
        backbone = self.base.model
        states = summary = backbone.embed_tokens(tokens.to(self.device))
        positions = torch.arange(tokens.shape[1], device=states.device)[None]
        angles = backbone.rotary_emb(states, positions)
        for index in range(layers):
            states = backbone.layers[index](
                states,
                attention_mask=None,
                position_ids=positions,
                position_embeddings=angles,
                shared=call,
            )
            if index + 1 == self.config.summary_layer:
                summary = states
        return summary  # type: ignore[no-any-return]

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
        places, end = slots.positions(config.key_position_mode, self.slot_room)
        keys = self.rotary.rotate(slots.keys, places[:, None, :])
        joint = config.form == "joint"
        return InjectedKV(
            keys=tuple(keys),
            values=tuple(slots.values),
            valid=slots.valid,
            joint=joint,
            start=end if joint else torch.zeros_like(end),
            query_angles=None if joint else self.rotary.query_angles(end[:, None, None]),
            bias=None if adapter.slot_bias is None else tuple(adapter.slot_bias),
        )

    def no_context(self) -> CompressedKV:
        """A context without a chunk, for batches in which others have some."""
        sizes = base_sizes(self.base.config)
        shape = (self.injected_layers, sizes["kv_heads"], sizes["head_dim"])
        return CompressedKV.empty(*shape, self.device, self.dtype)

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
        places = _places(tokens, seen, attention_mask)
        blind = None
        if injected is not None and injected.joint:
            sinks = self.config.sink_tokens
            if seen < sinks or attention_mask is not None:
                blind = places < sinks
        start = 0 if injected is None else injected.start.to(tokens.device)[:, None]
        if isinstance(logits_to_keep, int) and logits_to_keep:
            # places, not a slice: from a slice of the states the head would copy its whole weight
            logits_to_keep = torch.arange(-logits_to_keep, 0, device=self.device)
        return self.base(  # type: ignore[no-any-return]
            input_ids=tokens,
            position_ids=places + start,
            attention_mask=attention_mask,
            past_key_values=past,
            use_cache=past is not None,
            logits_to_keep=logits_to_keep,
            shared=LayerCall(self._owner, role, injected, blind=blind),
        ).logits

    def train(self, mode: bool = True) -> SharedLLM:
        """Switch to training mode, or back.

        Raises:
            UsageError: the base's layers cannot pass gradients.
        """
        if mode and any(_packed(module) for module in self.base.modules()):
            raise UsageError(
                "4-bit weights that have been used on this processor pass no gradients; "
                "train without --quantization, or on a GPU"
            )
        super().train(mode)
        return self

    def detach_hooks(self) -> None:
        """Give the base back as it was. This object is of no use afterwards."""
        self.roles.remove()
        self._cross.remove()
        self.base._sharedllm_attached -= 1
        if not self.base._sharedllm_attached:
            detach(self.base)

    def checkpoint_layers(self, enabled: bool = True) -> None:
        """Recompute layers in the backward pass of training instead of keeping their activations.

        Acts in training mode only (``model.train()``).
        """
        for layer in self.base.model.layers:
            layer.gradient_checkpointing = enabled
            # The reentrant kind loses the gradients of what comes by keyword: slots and roles.
            layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)

    def _no_slots(self, shape: Sequence[int]) -> Tensor:
        config = base_sizes(self.base.config)
        size = (0, shape[0], config["kv_heads"], shape[1], config["head_dim"])
        return torch.zeros(size, dtype=self.dtype, device=self.device)

    @torch.no_grad()
    def _check_rotation(self) -> None:
        """Refuse a base that rotates in a way of its own: a token at two places shows it."""
        if self.device.type == "meta":
            return
        place = 3
        tokens = torch.arange(4)[:, None].expand(4, place + 1)  # some may be padding: all zero
        keys = self.encode(tokens, 1).keys[0]
        at_zero, elsewhere = keys[..., 0, :], keys[..., place, :]
        if (at_zero - elsewhere).norm() > 0.1 * at_zero.norm():
            self.detach_hooks()
            raise UsageError(
                f"{self.base.config.model_type} models rotate their keys in a way that sharedcli "
                "does not know; use a Llama, Mistral, Qwen2, Qwen3 or SmolLM model"
            )


def _packed(module: nn.Module) -> bool:
    """Whether bitsandbytes has stored this layer anew for a fast way without a backward pass."""
    state = getattr(getattr(module, "weight", None), "quant_state", None)
    return bool(getattr(state, "packing_format_for_cpu", False))


def pad_right(sequences: Sequence[Tensor]) -> Tensor:
    """Stack 1-D token tensors to [B, T], zeros behind the shorter ones."""
    return nn.utils.rnn.pad_sequence(list(sequences), batch_first=True)


def _places(tokens: Tensor, seen: int, mask: Tensor | None) -> Tensor:
    """Place of each token in its running text, [1 or B, T]; padding takes none, on either side."""
    if mask is None or mask.dim() != 2:
        return torch.arange(seen, seen + tokens.shape[1], device=tokens.device)[None]
    return (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
