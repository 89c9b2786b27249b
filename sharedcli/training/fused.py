"""Both roles as plain functions of their merged weights: the fast way to train a small base.

The hooks of ``model/lora.py`` add two thin products, a sum and two casts to every projection, and
the stock attention's backward pass is slow on a CPU. Here a role's updates are added to the weights
once per optimiser step, a layer is a few functions with backward passes of their own that give the
updates their gradients, and sequences are run one by one, so that what a layer makes of a chunk
stays in the processor's cache. What several running texts begin with alike (the instruction and the
passages of a prompt) is read once.

It knows Llama's layer only (no biases, no norms of queries and keys, no window); ``fits`` tells.
Results equal those of ``SharedLLM`` up to rounding, which tests hold in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import Compressor
from sharedcli.model.injected import InjectedKV
from sharedcli.model.lora import LowRank, RoleLoRA
from sharedcli.model.sharedllm import Encoded, SharedLLM
from sharedcli.training.batches import IGNORED, Batch, alike
from sharedcli.training.fused_layer import Frame, run_layer
from sharedcli.training.fused_weights import Layer, Projection, Update
from sharedcli.training.objective import TrainingStep


def fits(model: SharedLLM) -> bool:
    """Whether ``model`` is of the kind that is known here, and on a CPU.

    On a GPU autocast would have the softmax in single precision, and blocks be too small.
    """
    config = model.base.config
    plain = all(
        type(module) is torch.nn.Linear and module.bias is None
        for layer in model.base.model.layers
        for module in layer.modules()
        if isinstance(module, torch.nn.Linear) or "Linear" in type(module).__name__
    )
    return (
        model.device.type == "cpu"
        and config.model_type == "llama"
        and plain
        and not model.config.full_layers
        and config.hidden_act == "silu"
        and model.config.form == "joint"
        and model.adapter.slot_bias is None
        and model.rotary.scaling == 1.0
    )


class FusedRoles:
    """A ``SharedLLM``'s two roles over the weights of the moment; made anew for every batch.

    Has what ``Compressor`` asks of a model, so the tree's part is the same code.
    """

    def __init__(self, model: SharedLLM, dtype: torch.dtype) -> None:
        self.model = model
        self.adapter = model.adapter
        self.config = model.config
        self.injected_layers = model.injected_layers
        self._dtype = dtype
        backbone = model.base.model
        self._backbone = backbone
        self._lower: list[Layer] = []
        self._upper: list[Layer] = []
        self._masks: dict[tuple[int, int], Tensor] = {}

    def no_context(self) -> CompressedKV:
        """As ``SharedLLM.no_context``."""
        return self.model.no_context()

    def encode(self, tokens: Tensor, layers: int | None = None) -> Encoded:
        """As ``SharedLLM.encode``, one sequence after the other."""
        assert layers is None, "search vectors are not made here"
        if not self._lower:
            count = self.injected_layers
            self._lower = list(self._merged(self.adapter.compressor, count))
        length = tokens.shape[1]
        places = torch.arange(length, device=tokens.device)
        frame = self._frame(places, 0, 0)
        rows = [self._encode_row(row, frame) for row in tokens.to(self.model.device)]
        keys = torch.stack([torch.stack(keys) for keys, _ in rows], 1)
        values = torch.stack([torch.stack(values) for _, values in rows], 1)
        states = keys.new_zeros(len(rows), length, 1)  # nobody searches while training
        return Encoded(keys, values, states)

    def _encode_row(self, tokens: Tensor, frame: Frame) -> tuple[list[Tensor], list[Tensor]]:
        """Unrotated keys and values [K, T, D] of each of the lowest layers."""
        hidden = self._backbone.embed_tokens(tokens).to(self._dtype)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for index, layer in enumerate(self._lower):
            last = index == len(self._lower) - 1
            hidden, key, value = run_layer(layer, hidden, frame, only_keys=last)
            keys.append(key)
            values.append(value)
        return keys, values

    def read(
        self,
        tokens: Tensor,
        injected: InjectedKV | None,
        row: int,
        shared: int,
        branches: Sequence[int],
    ) -> Tensor:
        """The decoder's states [T, E] after the last norm of running texts that begin alike.

        Args:
            tokens: what the texts begin with, then how each goes on, [T] in all.
            injected: slots to see.
            row: a text's row in ``injected``; the others see the same.
            shared: tokens that the texts begin with, 0 for one text.
            branches: the tokens that follow in each; none of them sees another's.
        """
        if not self._upper:
            self._upper = list(self._merged(self.adapter.decoder, len(self._backbone.layers)))
        slots, start = 0, 0
        chosen: Tensor | None = None
        if injected is not None:
            rows = injected.start.shape[0]
            row = row if rows > 1 else 0
            start = int(injected.start[row])
            if injected.valid is not None:
                chosen = injected.valid[min(row, injected.valid.shape[0] - 1)].nonzero()[:, 0]
            slots = injected.slots if chosen is None else len(chosen)
        counted = [range(shared), *(range(shared, shared + size) for size in branches)]
        places = torch.tensor([p for part in counted for p in part], device=tokens.device)
        frame = self._frame(places + start, slots, self.config.sink_tokens)
        plain = self._frame(places + start, 0, 0)
        if len(branches) > 1:
            frame, plain = (_apart(one, shared, branches) for one in (frame, plain))
        hidden = self._backbone.embed_tokens(tokens).to(self._dtype)
        for index, layer in enumerate(self._upper):
            extra = None
            if injected is not None and slots and injected.reaches(index):
                extra = tuple(
                    _row(part[index], row, chosen) for part in (injected.keys, injected.values)
                )
            hidden, _, _ = run_layer(layer, hidden, frame if extra else plain, slots=extra)
        norm: Tensor = self._backbone.norm(hidden)
        return norm.to(self._dtype)

    def _frame(self, positions: Tensor, slots: int, sinks: int) -> Frame:
        cosine, sine = self.model.rotary.angles(positions)
        mask = self._mask(len(positions), slots, sinks)
        return Frame(cosine.to(self._dtype), sine.to(self._dtype), mask)

    def _mask(self, length: int, slots: int, sinks: int) -> Tensor:
        if (length, slots) not in self._masks:
            least = torch.finfo(self._dtype).min
            device = self.model.device
            own = torch.full((length, length), least, dtype=self._dtype, device=device).triu(1)
            seen = torch.zeros(length, slots, dtype=self._dtype, device=device)
            seen[:sinks] = least
            self._masks[length, slots] = torch.cat((seen, own), 1)
        return self._masks[length, slots]

    def _merged(self, updates: RoleLoRA, count: int) -> Iterator[Layer]:
        config = self._backbone.config
        for index, layer in enumerate(self._backbone.layers[:count]):

            def project(*names: str, index: int = index, layer: Any = layer) -> Projection:
                return self._project(updates, index, layer, names)

            yield Layer(
                attention_norm=layer.input_layernorm.weight.to(self._dtype),
                qkv=project("q_proj", "k_proj", "v_proj"),
                out=project("o_proj"),
                mlp_norm=layer.post_attention_layernorm.weight.to(self._dtype),
                gate_up=project("gate_proj", "up_proj"),
                down=project("down_proj"),
                eps=layer.input_layernorm.variance_epsilon,
                heads=config.num_attention_heads,
                kv_heads=config.num_key_value_heads,
                head_dim=layer.self_attn.head_dim,
            )

    @torch.no_grad()
    def _project(
        self, updates: RoleLoRA, index: int, layer: Any, names: Sequence[str]
    ) -> Projection:
        """Weights of one input side by side, with the role's updates added."""
        merged: list[Tensor] = []
        parts: list[Update] = []
        first = 0
        for name in names:
            home = layer.self_attn if hasattr(layer.self_attn, name) else layer.mlp
            weight: Tensor = getattr(home, name).weight.to(self._dtype)
            last = first + weight.shape[0]
            key = f"{index}_{name}"
            if key in updates.updates:
                update = updates.updates[key]
                assert isinstance(update, LowRank)
                weight = weight + (update.up * update.scale @ update.down).to(self._dtype)
                parts.append(Update(update.down, update.up, update.scale, first, last))
            merged.append(weight)
            first = last
        return Projection.of(torch.cat(merged), tuple(parts))


def _apart(frame: Frame, shared: int, branches: Sequence[int]) -> Frame:
    """``frame`` with a mask that hides from each branch the ones before it."""
    mask = frame.mask.clone()
    length = len(mask)
    own = mask[:, mask.shape[1] - length :]
    first = shared
    for size in branches:
        own[first : first + size, shared:first] = torch.finfo(mask.dtype).min
        first += size
    return replace(frame, mask=mask)


def _row(part: Tensor, row: int, chosen: Tensor | None) -> Tensor:
    """Slots [K, S, D] of one row of [B, K, S, D]."""
    found = part[row if part.shape[0] > 1 else 0]
    return found if chosen is None else found.index_select(1, chosen)


class FusedStep(TrainingStep):
    """A ``TrainingStep`` over fused roles."""

    def __init__(
        self, model: SharedLLM, compressor: Compressor, compressor_trains: bool, dtype: torch.dtype
    ) -> None:
        super().__init__(model, compressor, compressor_trains)
        self._dtype = dtype
        self._batch_tokens = compressor.batch_tokens
        self._made: tuple[tuple[int, ...], FusedRoles] | None = None

    @property
    def roles(self) -> FusedRoles:
        """Both roles with the updates as they are now: merged anew after each optimiser step."""
        versions = tuple(parameter._version for parameter in self.model.adapter.parameters())
        if self._made is None or self._made[0] != versions:
            self._made = versions, FusedRoles(self.model, self._dtype)
        return self._made[1]

    def compress(self, batch: Batch) -> CompressedKV | None:
        """As ``TrainingStep.compress``."""
        if not batch.cuts:
            return None
        compressor = Compressor(self.roles, self._batch_tokens)  # type: ignore[arg-type]
        return compressor.compress_frontiers(
            batch.contexts,
            [cut.tree for cut in batch.cuts],
            [cut.frontiers for cut in batch.cuts],
        )

    def logits(self, batch: Batch, injected: InjectedKV | None) -> Tensor:
        """As ``TrainingStep.logits``."""
        states: list[Tensor] = []
        for first, last, shared in alike(batch):
            kept = [(labels != IGNORED).nonzero()[:, 0] for labels in batch.labels[first:last]]
            ends = [int(places[-1]) + 1 for places in kept]
            rows = zip(batch.tokens[first:last], ends, strict=True)
            parts = [batch.tokens[first, :shared], *(row[shared:end] for row, end in rows)]
            sizes = [len(part) for part in parts]
            read = self.roles.read(torch.cat(parts), injected, first, shared, sizes[1:])
            for branch, places in zip(read.split(sizes)[1:], kept, strict=True):
                states.append(branch[places - shared])
        head: Tensor = self.model.base.get_output_embeddings().weight
        return linear(torch.cat(states), head.to(self._dtype))
