"""What the hardware could do at most, and what a training step asks of it.

The peak of well-known accelerators is their data sheets' (dense, half precision); of all others,
CPUs among them, it is measured with a large matrix product, which says what can be reached here and
now. Both are named for what they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from sharedcli.model.adapter import Adapter
from sharedcli.training.batches import Batch

# Dense bf16 (T4: fp16) tensor peak in TFLOP/s, from the makers' data sheets; first match counts.
_KNOWN = (
    ("H200", 989.0),
    ("H100 PCIe", 756.0),
    ("H100", 989.0),
    ("GH200", 989.0),
    ("B200", 2250.0),
    ("A100", 312.0),
    ("A800", 312.0),
    ("L40S", 362.0),
    ("L4", 121.0),
    ("A10G", 70.0),
    ("A10", 125.0),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71.0),
    ("T4", 65.0),
)


@dataclass(frozen=True)
class Peak:
    """Operations per second, and where the figure is from: "data sheet" or "measured"."""

    flops: float
    origin: str
    name: str


def peak_of(device: torch.device, dtype: torch.dtype, processes: int = 1) -> Peak:
    """The peak of all ``processes`` together."""
    name = "CPU"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for part, teraflops in _KNOWN:
            if part in name and dtype != torch.float32:
                return Peak(teraflops * 1e12 * processes, "data sheet", name)
    return Peak(_measure(device, dtype) * processes, "measured", name)


def _measure(device: torch.device, dtype: torch.dtype) -> float:
    size = 1024 if device.type == "cpu" else 4096
    left = torch.ones(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(4):
        begin = time.perf_counter()
        product = left @ left
        float(product[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - begin)
    return float(2 * size**3 / best)


@dataclass(frozen=True)
class Cost:
    """Parameters that a token meets: in one layer, in the head, and in an adapter's updates."""

    layer: int
    layers: int
    head: int
    injected: int
    compressor_update: int
    decoder_update: int
    hidden: int
    compressor_trains: bool

    @classmethod
    def of(cls, base: Any, adapter: Adapter, compressor_trains: bool) -> Cost:
        """Count them for a base with an adapter; quantised weights count unpacked."""
        config = base.config
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        attention = config.hidden_size * head_dim * 2 * (heads + kv_heads)
        return cls(
            layer=attention + 3 * config.hidden_size * config.intermediate_size,
            layers=config.num_hidden_layers,
            head=config.hidden_size * config.vocab_size,
            injected=adapter.config.injected_layers,
            compressor_update=sum(p.numel() for p in adapter.compressor.parameters()),
            decoder_update=sum(p.numel() for p in adapter.decoder.parameters()),
            hidden=heads * head_dim,
            compressor_trains=compressor_trains,
        )

    def flops(self, batch: Batch) -> float:
        """Operations of a batch, forward and backward, without recomputation.

        Frozen weights cost 2 operations per parameter and token forward and 2 backward (no
        gradient of their own), trained ones 6; attention 4 x width per pair of tokens forward.
        """
        rows, length = batch.tokens.shape
        targets = int((batch.labels >= 0).sum())
        read = sum(len(context) for context in batch.contexts)
        slots = _slots(batch)
        decoder = 4.0 * self.layer * self.layers + 6 * self.decoder_update
        work = rows * length * decoder + 4.0 * self.head * targets
        pairs = rows * length * (length / 2) * self.layers
        pairs += rows * length * slots * self.injected
        work += 12.0 * self.hidden * pairs
        passes = 2 if self.compressor_trains else 1
        work += read * 2.0 * passes * self.layer * self.injected
        work += read * (6.0 if self.compressor_trains else 2.0) * self.compressor_update
        for teacher in batch.teachers:
            size = len(teacher)
            work += 2.0 * self.layer * self.layers * size + 2.0 * self.hidden * size**2
        return work


def _slots(batch: Batch) -> float:
    """Mean slots per context."""
    if not batch.cuts:
        return 0.0
    counts = [sum(c.tree.slots(n) for f in c.frontiers for n in f) for c in batch.cuts]
    return sum(counts) / len(counts)
