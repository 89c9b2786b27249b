"""Progressive compression: chunks are read one by one, each seeing what is kept of those before.

The structure of Activation Beacon (Zhang et al., arXiv 2401.03462): a chunk is read by the whole
model, sees the compressed keys and values of all chunks before it in every layer, and leaves its
own behind; the raw ones go. There, learned beacon tokens carry what is kept. None are trained here:
the last token of each window stands for it, and the first tokens stay as attention sinks. So time
and memory are those of the structure, and its scores are those of thinning the cache untrained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from sharedcli.baselines.streams import CachedStream
from sharedcli.model.sharedllm import SharedLLM

SINKS = 4
"""First tokens that stay, as in StreamingLLM: without training nothing replaces them."""


def slots_of(tokens: int, chunk: int, ratio: float) -> int:
    """Keys and values per layer that are kept of a context of so many tokens."""
    full, rest = divmod(tokens, chunk)
    kept = full * max(1, round(chunk / ratio)) + (max(1, round(rest / ratio)) if rest else 0)
    return min(tokens, SINKS + kept)


class ProgressiveStream(CachedStream):
    """A stream whose cache starts with a compressed context.

    Args:
        model: the base; no adapter acts.
        tokens: the context, [T].
        chunk: tokens that are read at a time.
        ratio: tokens for one that stays.
    """

    def __init__(self, model: SharedLLM, tokens: Tensor, chunk: int, ratio: float) -> None:
        super().__init__(model)
        for number, block in enumerate(tokens.split(chunk)):
            self._compress(block, max(1, round(len(block) / ratio)), SINKS if not number else 0)

    @property
    def kept(self) -> int:
        """Tokens in the cache."""
        return self._seen

    @torch.inference_mode()
    def _compress(self, block: Tensor, slots: int, sinks: int) -> None:
        """Read a chunk behind what is kept, then keep ``slots`` of it, and its first ``sinks``."""
        before, count = self._seen, len(block)
        self._forward(block, 1)
        windows = [(place + 1) * count // slots - 1 for place in range(slots)]
        chosen = sorted({*range(min(sinks, count)), *windows})
        index = torch.tensor(chosen, device=self._model.device)
        was = torch.arange(before, before + count, device=index.device)[index]
        place = torch.arange(before, before + len(chosen), device=index.device)
        layers: list[Any] = list(self._cache.layers)
        self._cache = DynamicCache(config=self._model.base.config)
        rotary = self._model.rotary
        for number, layer in enumerate(layers):
            old, new = layer.keys[:, :, :before], layer.keys[:, :, before:]
            keys = rotary.rotate(rotary.unrotate(new[:, :, index].float(), was), place)
            values = layer.values[:, :, before:][:, :, index]
            self._cache.update(
                torch.cat((old, keys.to(old.dtype)), dim=2),
                torch.cat((layer.values[:, :, :before], values), dim=2),
                number,
            )
        self._seen = before + len(chosen)
