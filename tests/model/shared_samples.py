"""Small things to try ``SharedLLM`` on: bases of special kinds, tokens, adapters put to use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch import Tensor

from sharedcli.model.adapter import Adapter
from sharedcli.model.adapter_config import AdapterConfig
from sharedcli.model.compressed import CompressedKV
from sharedcli.model.compressor import Compressor
from sharedcli.model.sharedllm import SharedLLM
from sharedcli.tree.context_tree import ContextTree
from sharedcli.tree.frontier import fixed_path
from sharedcli.tree.geometry import TreeGeometry

GEOMETRY = TreeGeometry(16, 2, 2)
"""Chunks of 16 tokens, nodes of 8 and 4, two slots each."""


def ids(count: int, seed: int = 0, vocabulary: int = 90) -> Tensor:
    """Random token ids [count]."""
    return torch.randint(vocabulary, (count,), generator=torch.Generator().manual_seed(seed))


def small_base(
    architecture: str = "Llama", dtype: torch.dtype = torch.float64, seed: int = 0, **config: Any
) -> Any:
    """A random base of its own, whose configuration the test chooses."""
    sizes: dict[str, Any] = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = getattr(transformers, f"{architecture}Config")(**{**sizes, **config})
        model = getattr(transformers, f"{architecture}ForCausalLM")(kind)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # made as zeros, which would hide mistakes
                torch.nn.init.normal_(parameter, std=0.3)
    return model.to(dtype).eval().requires_grad_(False)


@contextmanager
def attached(base: Any, *, used: bool = False, **config: Any) -> Iterator[SharedLLM]:
    """A ``SharedLLM`` on ``base`` in float64, taken off again; ``used``: as if it were trained."""
    config = {"injected_layers": 2, "geometry": GEOMETRY, **config}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        adapter = Adapter(AdapterConfig(**config), base).to(torch.float64)
        if used:
            use(adapter)
    model = SharedLLM(base, adapter)
    try:
        yield model
    finally:
        model.detach_hooks()


def use(adapter: Adapter, seed: int = 2) -> None:
    """Move every parameter that starts at zero away from it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            if not parameter.any():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(0.5 * noise)


def compress(model: SharedLLM, *contexts: Tensor, **options: Any) -> CompressedKV:
    """Slots of whole contexts [T], each chunk on its fixed path, as one batch."""
    trees = [ContextTree(len(context), model.config.geometry) for context in contexts]
    frontiers = [[fixed_path(tree, chunk) for chunk in range(tree.chunks)] for tree in trees]
    return Compressor(model, **options).compress_frontiers(contexts, trees, frontiers)


def random_slots(
    model: SharedLLM, chunks: int, slots_per_chunk: int = 2, seed: int = 3
) -> CompressedKV:
    """Slots of a made-up context of ``chunks`` chunks of 16 tokens."""
    generator = torch.Generator().manual_seed(seed)
    config = model.base.config
    count = chunks * slots_per_chunk
    shape = (model.injected_layers, 1, config.num_key_value_heads, count, config.head_dim)
    chunk = torch.arange(chunks).repeat_interleave(slots_per_chunk)[None]
    local = torch.arange(slots_per_chunk).repeat(chunks)[None] * 8 // slots_per_chunk
    return CompressedKV(
        keys=torch.randn(shape, generator=generator, dtype=torch.float64),
        values=torch.randn(shape, generator=generator, dtype=torch.float64),
        chunk=chunk,
        local=local,
        place=16 * chunk + local,
        chunks=torch.tensor([chunks]),
        tokens=torch.tensor([16 * chunks]),
    )


def picked(slots: CompressedKV, order: Sequence[int] | Tensor) -> CompressedKV:
    """The same context with its slots in another order, each with its own positions."""
    index = torch.as_tensor(order)
    return CompressedKV(
        keys=slots.keys[..., index, :],
        values=slots.values[..., index, :],
        chunk=slots.chunk[:, index],
        local=slots.local[:, index],
        place=slots.place[:, index],
        chunks=slots.chunks,
        tokens=slots.tokens,
    )


def greatest(left: Tensor, right: Tensor) -> float:
    """The greatest absolute difference."""
    assert left.shape == right.shape
    return float((left - right).detach().abs().max())
