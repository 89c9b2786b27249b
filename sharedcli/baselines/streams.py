"""A stream of running text: tokens go in, logits come out, a cache remembers.

``CachedStream`` keeps everything. ``SinkStream`` is StreamingLLM (Xiao et al., arXiv 2309.17453):
it keeps the first few tokens (attention sinks) and the most recent ones, throws the keys and values
between them away, and counts positions within the cache, not in the text.

Text is read in blocks, so that memory does not depend on its length.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from sharedcli.errors import UsageError
from sharedcli.model.injected import InjectedKV, Role
from sharedcli.model.sharedllm import SharedLLM

BLOCK = 512
"""Tokens that are read at a time."""


class Stream(Protocol):
    """Running text under one method."""

    def read(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """Append ``tokens`` [T]; return logits [keep, V] at the last ``keep`` of them."""
        ...


class CachedStream:
    """Full attention over what is read, with slots injected or none.

    Args:
        model: base and adapter.
        injected: slots, or None.
        role: "decoder" with the adapter's updates, None for the plain base.
    """

    def __init__(
        self, model: SharedLLM, injected: InjectedKV | None = None, role: Role | None = None
    ) -> None:
        self._model = model
        self._injected = injected
        self._role = role
        self._cache = DynamicCache(config=model.base.config)
        self._seen = 0

    @torch.inference_mode()
    def read(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """As ``Stream.read``."""
        _check(tokens, keep)
        tail = tokens[len(tokens) - keep :]
        for block in tokens[: len(tokens) - keep].split(BLOCK):
            if len(block):
                self._forward(block, 1)
        return self._forward(tail, keep)

    def _forward(self, tokens: Tensor, keep: int) -> Tensor:
        logits = self._model(
            tokens[None].to(self._model.device),
            self._injected,
            past=self._cache,
            seen=self._seen,
            logits_to_keep=keep,
            role=self._role,
        )
        self._seen += len(tokens)
        return logits[0].float()  # type: ignore[no-any-return]


class SinkStream:
    """StreamingLLM: sinks and a sliding window, positions within the cache.

    Notable choices:
    - Keys are kept unrotated in float32 and rotated to their place in the cache after each
      eviction, so that no rounding adds up.
    - Text is read in blocks: before a block that does not fit, the oldest tokens behind the sinks
      leave. A token sees between ``window - block`` and ``window`` tokens before it; the paper
      evicts one token at a time.

    Args:
        model: the base; no adapter acts.
        window: tokens in the cache at most, sinks included.
        sinks: first tokens that stay.
        block: tokens read at a time.
    """

    def __init__(self, model: SharedLLM, window: int, sinks: int = 4, block: int = 256) -> None:
        if window < sinks + 2:
            raise UsageError(
                f"a streaming window of {window} tokens leaves none beside {sinks} sinks; give more"
            )
        self._model = model
        self._window = window
        self._sinks = sinks
        self.block = min(block, max(1, (window - sinks) // 2))
        self._kept: list[tuple[Tensor, Tensor]] = []  # unrotated keys, values per layer
        self._cache = DynamicCache(config=model.base.config)
        self.cached = 0
        self.evicted = 0

    @torch.inference_mode()
    def read(self, tokens: Tensor, keep: int = 1) -> Tensor:
        """As ``Stream.read``."""
        _check(tokens, keep)
        kept: list[Tensor] = []
        at = 0
        while at < len(tokens):
            block = tokens[at : at + self.block]
            wanted = min(len(block), max(0, at + len(block) - (len(tokens) - keep)))
            self._make_room(len(block))
            logits = self._forward(block, max(1, wanted))
            if wanted:
                kept.append(logits)
            at += len(block)
        return torch.cat(kept)

    def _forward(self, tokens: Tensor, keep: int) -> Tensor:
        logits = self._model(
            tokens[None].to(self._model.device),
            past=self._cache,
            seen=self.cached,
            logits_to_keep=keep,
            role=None,
        )
        self._remember(len(tokens))
        return logits[0].float()  # type: ignore[no-any-return]

    def _remember(self, count: int) -> None:
        """Take the keys of the last ``count`` tokens out of the cache, unrotated."""
        places = torch.arange(self.cached, self.cached + count, device=self._model.device)
        layers: list[Any] = list(self._cache.layers)
        for index, layer in enumerate(layers):
            keys = self._model.rotary.unrotate(layer.keys[:, :, -count:].float(), places)
            values = layer.values[:, :, -count:]
            if index == len(self._kept):
                self._kept.append((keys, values))
            else:
                old = self._kept[index]
                self._kept[index] = (
                    torch.cat((old[0], keys), dim=2),
                    torch.cat((old[1], values), dim=2),
                )
        self.cached += count

    def _make_room(self, count: int) -> None:
        """Evict so that ``count`` tokens more fit, and put what stays at new places."""
        surplus = self.cached + count - self._window
        if surplus <= 0:
            return
        recent = self._sinks + surplus
        self._kept = [
            tuple(  # type: ignore[misc]
                torch.cat((part[:, :, : self._sinks], part[:, :, recent:]), dim=2) for part in pair
            )
            for pair in self._kept
        ]
        self.cached -= surplus
        self.evicted += surplus
        places = torch.arange(self.cached, device=self._model.device)
        self._cache = DynamicCache(config=self._model.base.config)
        for index, (keys, values) in enumerate(self._kept):
            rotated = self._model.rotary.rotate(keys, places).to(values.dtype)
            self._cache.update(rotated, values, index)


def _check(tokens: Tensor, keep: int) -> None:
    if not 1 <= keep <= len(tokens):
        raise ValueError(f"logits at {keep} of {len(tokens)} tokens")


def continuation_loss(stream: Stream, prefix: Tensor, running: Tensor) -> float:
    """Mean loss in nats of ``running`` [T] from its second token on, after reading ``prefix``.

    The first token is left out for every method, since without a prefix nothing predicts it.

    Raises:
        ValueError: fewer than two running tokens.
    """
    if len(running) < 2:
        raise ValueError("two running tokens at least")
    logits = stream.read(torch.cat((prefix, running[:-1])), len(running) - 1)
    targets = running[1:].to(logits.device)
    return float(torch.nn.functional.cross_entropy(logits, targets))
