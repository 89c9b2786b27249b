"""Low-rank updates of the base's linear layers, one set for each role of the same weights.

The base plays two roles with one copy of its weights: compressor (lowest M layers) and decoder (all
layers). A role's updates act only while that role's forward runs: every layer's self-attention is
told the role by a keyword of its call (``model/injected.py``), which also holds when gradient
checkpointing runs the layer again. Without the keyword the base is bit-equal to what it was.

Updates hang on forward hooks, so base modules keep their type and parameter names, and 4-bit and
8-bit linear layers work as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sharedcli.model.injected import LayerCall, Role

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LowRank(nn.Module):
    """``x -> scale * (x A^T) B^T`` with A [rank, in] random and B [out, rank] zero (LoRA)."""

    def __init__(self, features_in: int, features_out: int, rank: int, scale: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, features_in))
        self.up = nn.Parameter(torch.zeros(features_out, rank))
        self.scale = scale
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, states: Tensor) -> Tensor:
        """Return the update for ``states`` [..., in], shape [..., out]."""
        return (states.to(self.down.dtype) @ self.down.T) @ (self.up.T * self.scale)


class FullRank(nn.Module):
    """``x -> x W^T`` with W [out, in] zero: any change of the layer's weight, for full fine-tuning.

    Kept as a difference, so that the base stays as it is for the other role, packed or not.
    """

    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features_out, features_in))

    def forward(self, states: Tensor) -> Tensor:
        """Return the update for ``states`` [..., in], shape [..., out]."""
        return states.to(self.weight.dtype) @ self.weight.T


def linear_layers(layer: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the projections of one decoder layer under their short names."""
    for name, module in layer.named_modules():
        short = name.rsplit(".", 1)[-1]
        if short in PROJECTIONS:
            yield short, module


class RoleLoRA(nn.Module):
    """All updates of one role: ``updates["3_q_proj"]`` belongs to layer 3."""

    def __init__(
        self, layers: nn.ModuleList, count: int, rank: int, scale: float, *, full: int = 0
    ) -> None:
        """Low-rank updates for ``count`` layers, of full rank for the lowest ``full`` of them."""
        super().__init__()
        self.updates = nn.ModuleDict()
        for index in range(count if rank else full):
            for name, linear in linear_layers(layers[index]):
                sizes = int(linear.in_features), int(linear.out_features)  # type: ignore[arg-type]
                self.updates[f"{index}_{name}"] = (
                    FullRank(*sizes) if index < full else LowRank(*sizes, rank, scale)
                )


class RoleSwitch:
    """Hooks that apply the updates of the role that is named in each layer's call.

    The role is taken up where self-attention begins and laid down where the MLP ends. Both lie
    inside of what gradient checkpointing runs again; a layer's own hooks, in some versions of
    ``transformers``, do not.
    """

    def __init__(
        self, layers: nn.ModuleList, roles: dict[str, RoleLoRA], owner: object = None
    ) -> None:
        """``owner``: only calls that name it are meant, see ``LayerCall``."""
        self._active: Role | None = None
        self._roles = roles
        self._owner = owner
        self.merged: str | None = None
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        for index, layer in enumerate(layers):
            attention, mlp = layer.get_submodule("self_attn"), layer.get_submodule("mlp")
            self._handles += [
                attention.register_forward_pre_hook(self._enter, with_kwargs=True),
                mlp.register_forward_hook(self._leave, always_call=True),
            ]
            for name, linear in linear_layers(layer):
                key = f"{index}_{name}"
                if any(key in lora.updates for lora in roles.values()):
                    self._handles.append(linear.register_forward_hook(self._hook(key)))

    def _enter(
        self, attention: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        call = kwargs.get("shared")
        if isinstance(call, LayerCall) and call.owner is self._owner:
            self._active = call.role
        else:
            self._active = None

    def _leave(self, *_: Any) -> None:
        self._active = None

    def _hook(self, key: str):  # type: ignore[no-untyped-def]
        def apply(linear: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            role = self._active
            if role is None or role == self.merged:
                return None
            updates = self._roles[role].updates
            if key not in updates:
                return None
            update: Tensor = updates[key](args[0])
            return output + update.to(output.dtype)

        return apply

    def remove(self) -> None:
        """Take all hooks off: the base is as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
