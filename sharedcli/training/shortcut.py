"""Fit an adapter's shortcut: what tokens that leave the compressor early would have become.

From its exit layer on a token that becomes no slot is not computed any more, but layers above still
see it. Linear maps from its normalised state there to each of those layers' keys and values, fitted
by least squares to what the whole compressor makes of text, stand in for what was left out: a
shortcut as in Din et al. (arXiv 2303.09435), onto keys and values instead of states. Without one,
layers take them from the state as it was.

Shapes: N tokens, E hidden size, K key/value heads, D head size, L layers with a shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from sharedcli.errors import UsageError
from sharedcli.model.adapter_config import base_sizes
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.training.samples import TextSampler

_RIDGE = 1e-4
"""Of the mean of the inputs' squares: a direction that text hardly uses is to get no weight."""
_MEASURED = 16
"""Every so many windows one is left out of the fit, to be measured."""
_KEPT = 4
"""Of those at most: their keys and values of all layers are held at once."""
_BATCH = 4


@dataclass(frozen=True)
class Fitted:
    """A shortcut, and what it does not explain of keys and values in text that was left out.

    Attributes:
        weight, bias: [L, 2 K D, E] and [L, 2 K D].
        keys, values: squared error by the variance, the mean over layers above the exit layer; 0
            is exact.
        tokens: that were read, those left out among them.
    """

    weight: Tensor
    bias: Tensor
    keys: float
    values: float
    tokens: int


def fit_shortcut(
    model: SharedLLM,
    windows: Iterator[Tensor],
    layers: tuple[int, int],
    tokens: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Fitted:
    """Fit a shortcut for tokens that leave at the first of ``layers``, seen below the second.

    Args:
        model: its compressor is what is fitted to.
        windows: token ids [T] of equal lengths, without end.
        layers: exit and pruning layer.
        tokens: how many to read.
        tell: takes how many have been read.

    Raises:
        UsageError: there is no such layer, or fewer tokens than there are numbers to fit.
    """
    start, end = layers
    if not 0 < start < end <= model.injected_layers:
        raise UsageError(
            f"a shortcut of layers {start} to {end} does not fit {model.injected_layers} injected "
            "layers; use --exit-layer below --pruning-layer, both within them"
        )
    width = model.base.config.hidden_size
    if tokens < 4 * width:
        raise UsageError(f"{tokens} tokens are too few to fit {width} channels; use --tokens 100K")
    moments = _Moments.zero(width, end - start, model.base.config)
    left_out: list[tuple[Tensor, Tensor]] = []
    read = number = 0
    while read < tokens:
        batch = torch.stack([next(windows) for _ in range(_BATCH)])
        inputs, outputs = _observed(model, batch, start, end)
        if number % _MEASURED:
            moments.add(inputs, outputs)
        elif len(left_out) < _KEPT:
            left_out.append((inputs, outputs))
        read, number = read + batch.numel(), number + 1
        tell(read)
    weight = moments.solved()
    keys, values = _unexplained(weight, left_out, end - start)
    weight = weight.T.unflatten(0, (end - start, -1))
    return Fitted(weight[..., :-1].contiguous(), weight[..., -1].contiguous(), keys, values, read)


def text_windows(sampler: TextSampler, length: int, seed: int) -> Iterator[Tensor]:
    """Windows of ``length`` tokens of long text, drawn for ever."""
    rng = Random(f"shortcut/{seed}")
    while True:
        sample = sampler.draw(rng, length - 1, 1)
        yield torch.cat((sample.context, sample.running[0].tokens))


@dataclass
class _Moments:
    """Sums over tokens of inputs with inputs [E + 1, E + 1] and with outputs [E + 1, L 2 K D]."""

    square: Tensor
    cross: Tensor

    @classmethod
    def zero(cls, width: int, layers: int, config: Any) -> _Moments:
        sizes = base_sizes(config)
        outputs = layers * 2 * sizes["kv_heads"] * sizes["head_dim"]
        square = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        return cls(square, torch.zeros(width + 1, outputs, dtype=torch.float64))

    def add(self, inputs: Tensor, outputs: Tensor) -> None:
        self.square += (inputs.T @ inputs).cpu()
        self.cross += (inputs.T @ outputs).cpu()

    def solved(self) -> Tensor:
        """The weights, biases in the last row [E + 1, L 2 K D]."""
        ridge = _RIDGE * self.square.diagonal().mean()
        eye = torch.eye(len(self.square), dtype=torch.float64)
        solved: Tensor = torch.linalg.solve(self.square + ridge * eye, self.cross)
        return solved.float()


@torch.inference_mode()
def _observed(model: SharedLLM, tokens: Tensor, start: int, end: int) -> tuple[Tensor, Tensor]:
    """Inputs [N, E + 1], a one behind each, and keys and values of all layers [N, L 2 K D].

    Without the first token of each sequence: it goes all the way, and is like no other.
    """
    layer, seen = model.base.model.layers[start], []
    handle = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        encoded = model.encode(tokens, end)
    finally:
        handle.remove()
    states = seen[0].float()
    eps = layer.input_layernorm.variance_epsilon
    states = states * torch.rsqrt(states.square().mean(-1, keepdim=True) + eps)
    inputs = torch.cat((states, states.new_ones(*states.shape[:2], 1)), -1)
    pairs = torch.stack((encoded.keys[start:], encoded.values[start:]), 1).float()
    outputs = pairs.permute(2, 4, 0, 1, 3, 5).flatten(2)  # [B, T, L 2 K D]
    return inputs[:, 1:].flatten(0, 1), outputs[:, 1:].flatten(0, 1)


def _unexplained(
    weight: Tensor, left_out: list[tuple[Tensor, Tensor]], layers: int
) -> tuple[float, float]:
    errors = spreads = torch.zeros(())
    for inputs, outputs in left_out:
        error = (inputs.cpu() @ weight - outputs.cpu()).square().sum(0)
        spread = (outputs.cpu() - outputs.cpu().mean(0)).square().sum(0)
        errors = errors + error.view(layers, 2, -1).sum(-1)
        spreads = spreads + spread.view(layers, 2, -1).sum(-1)
    # the exit layer's own are exact
    keys, values = (errors / spreads)[1:].mean(0).tolist() if layers > 1 else (0.0, 0.0)
    return keys, values
